//! A batch of any kind, as [`Objective::loss`](crate::Objective::loss) takes it.

use dfdx::prelude::*;
use tropism_core::{
    Columns, ListLogps, PairLogps, PairScores, PairTokens, RevisionLogps, ScoreTable, ScoredPairs, SequenceLogps,
    TokenLogps, TripleLogps, ValuedTokens,
};

use crate::{Input, InputKind, Method, Objective, ObjectiveError};

/// The input of a method with the constants that it reads.
///
/// `P` is the axis of the rows; `C` the second axis of kinds that have one (tokens, places of a list), otherwise any.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{Batch, Objective};
///
/// let dev = Cpu::default();
/// let pairs = PairLogps::new(dev.tensor([-10.0_f64]), dev.tensor([-12.0]), &[5], &[8])?;
/// let dpo: Objective = toml::from_str("method = 'dpo'")?;
/// let terms = dpo.loss(Batch::<_, usize, _, _, _>::pairs(pairs.clone(), Some(pairs)))?;
/// assert!((terms.mean()?.array() - 2.0_f64.ln()).abs() < 1e-15);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Batch<P: Dim, C: Dim, E: Dtype, D: Device<E>, T = NoneTape> {
    pub(crate) input: Input<P, C, E, D, T>,
    pub(crate) columns: Columns,
}

impl<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>> From<Input<P, C, E, D, T>> for Batch<P, C, E, D, T> {
    fn from(input: Input<P, C, E, D, T>) -> Self {
        Self { input, columns: Columns::default() }
    }
}

impl<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>> Batch<P, C, E, D, T> {
    /// A batch of pairs.
    pub fn pairs(policy: PairLogps<P, E, D, T>, reference: Option<PairLogps<P, E, D>>) -> Self {
        Input::Pairs(policy, reference).into()
    }

    /// A batch of single completions.
    pub fn completions(policy: SequenceLogps<P, E, D, T>, reference: Option<SequenceLogps<P, E, D>>) -> Self {
        Input::Completions(policy, reference).into()
    }

    /// Adds constants.
    #[must_use]
    pub fn with_columns(self, columns: Columns) -> Self {
        Self { columns, ..self }
    }

    /// Fails unless kind, reference and constants are those that `method` reads.
    pub(crate) fn check(&self, name: &'static str, method: &impl Method) -> Result<(), ObjectiveError> {
        let (needs, found) = (method.input(), self.input.kind());
        if needs != found {
            return Err(ObjectiveError::WrongInput { method: name, needs, found });
        }
        match (method.needs_reference(), self.input.has_reference()) {
            (true, false) => return Err(ObjectiveError::MissingReference { method: name }),
            (false, true) => return Err(ObjectiveError::UnusedReference { method: name }),
            _ => {}
        }
        let (reads, entries) = (method.columns(), |per| self.input.entries(per));
        Ok(tropism_core::Column::check_all(name, &reads, &self.columns, entries)?)
    }
}

/// Takes the parts of a batch of one kind.
macro_rules! parts {
    ($($(#[$meta:meta])* $name:ident: $variant:ident($policy:ty, $reference:ty);)*) => {
        impl<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>> Batch<P, C, E, D, T> {
            $(
                $(#[$meta])*
                pub(crate) fn $name(
                    self,
                    method: &'static str,
                ) -> Result<($policy, Option<$reference>, Columns), ObjectiveError> {
                    match self.input {
                        Input::$variant(policy, reference) => Ok((policy, reference, self.columns)),
                        other => {
                            let (needs, found) = (InputKind::$variant, other.kind());
                            Err(ObjectiveError::WrongInput { method, needs, found })
                        }
                    }
                }
            )*
        }
    };
}

parts! {
    /// Policy, reference and constants of single completions.
    into_completions: Completions(SequenceLogps<P, E, D, T>, SequenceLogps<P, E, D>);
    /// Policy, reference and constants of completions by token.
    into_completion_tokens: CompletionTokens(TokenLogps<P, C, E, D, T>, TokenLogps<P, C, E, D>);
    /// Policy, reference and constants of pairs.
    into_pairs: Pairs(PairLogps<P, E, D, T>, PairLogps<P, E, D>);
    /// Policy, reference and constants of pairs by token.
    into_pair_tokens: PairTokens(PairTokens<P, C, E, D, T>, PairTokens<P, C, E, D>);
    /// Policy, reference and constants of triples.
    into_triples: Triples(TripleLogps<P, E, D, T>, TripleLogps<P, E, D>);
    /// Policy, reference and constants of lists.
    into_lists: Lists(ListLogps<P, C, E, D, T>, ListLogps<P, C, E, D>);
    /// Policy, reference and constants of pairs as answers and as revisions.
    into_revisions: Revisions(RevisionLogps<P, E, D, T>, RevisionLogps<P, E, D>);
    /// Policy, reference and constants of pairs with trained scores.
    into_scored_pairs: ScoredPairs(ScoredPairs<P, E, D, T>, ScoredPairs<P, E, D>);
    /// Policy, reference and constants of completions by token with values.
    into_valued_tokens: ValuedTokens(ValuedTokens<P, C, E, D, T>, TokenLogps<P, C, E, D>);
}

impl<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>> Batch<P, C, E, D, T> {
    /// Scores and constants.
    pub(crate) fn into_scores(self, method: &'static str) -> Result<(PairScores<P, E, D, T>, Columns), ObjectiveError> {
        match self.input {
            Input::Scores(scores) => Ok((scores, self.columns)),
            other => Err(ObjectiveError::WrongInput { method, needs: InputKind::Scores, found: other.kind() }),
        }
    }

    /// Table and constants.
    pub(crate) fn into_score_table(
        self,
        method: &'static str,
    ) -> Result<(ScoreTable<P, C, E, D, T>, Columns), ObjectiveError> {
        match self.input {
            Input::ScoreTables(scores) => Ok((scores, self.columns)),
            other => Err(ObjectiveError::WrongInput { method, needs: InputKind::ScoreTables, found: other.kind() }),
        }
    }
}

/// The reference that a method cannot do without.
pub(crate) fn need<R>(method: &'static str, reference: Option<R>) -> Result<R, ObjectiveError> {
    reference.ok_or(ObjectiveError::MissingReference { method })
}

impl<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>> Batch<P, C, E, D, T> {
    /// The batch as one of several methods reads it: without the reference and the constants that it does not read.
    pub(crate) fn keep_for(self, objective: &Objective) -> Result<Self, ObjectiveError> {
        let columns = objective.keep(&self.columns)?;
        let input = if objective.needs_reference() { self.input } else { self.input.without_reference() };
        Ok(Self { input, columns })
    }

    /// A second use of the batch by another method; see [`keep_for`](Self::keep_for).
    pub(crate) fn fork_for(&self, objective: &Objective) -> Result<Self, ObjectiveError> {
        Self { input: self.input.fork(), columns: self.columns.clone() }.keep_for(objective)
    }
}
