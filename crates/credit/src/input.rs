//! What the losses read.

use std::fmt;

use dfdx::prelude::*;
use tropism_core::{Column, Columns, PairLogps, PairScores, PairTokens, Per, SequenceLogps};

use crate::{CreditError, CreditMethod, TokenSums};

/// The kinds of input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CreditKind {
    /// Pairs by token, of policy and reference.
    PairTokens,
    /// Pairs with each completion's KL divergence between reference and policy, summed over its tokens.
    PairDivergences,
    /// Pairs with the spectral energy of each completion's hidden states.
    PairEnergies,
    /// A divergence from a teacher for each completion, summed over its tokens.
    Divergences,
    /// Steps of an agent, of the reward model and of the policy that took them.
    Steps,
}

impl CreditKind {
    /// Whether it holds log-probabilities of a frozen model beside the policy's.
    pub fn has_reference(self) -> bool {
        self != Self::Divergences
    }
}

impl fmt::Display for CreditKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PairTokens => "pairs by token",
            Self::PairDivergences => "pairs with divergences",
            Self::PairEnergies => "pairs with spectral energies",
            Self::Divergences => "divergences from a teacher",
            Self::Steps => "steps of an agent",
        })
    }
}

/// One batch of figures of the policy, with those of the reference where the kind has one.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "there is one per batch, and it is moved once")]
pub enum CreditInput<P: Dim, C: Dim, E: Dtype, D: Device<E>, T = NoneTape> {
    /// See [`CreditKind::PairTokens`].
    PairTokens(PairTokens<P, C, E, D, T>, PairTokens<P, C, E, D>),
    /// See [`CreditKind::PairDivergences`].
    PairDivergences(PairLogps<P, E, D, T>, PairLogps<P, E, D>, PairScores<P, E, D, T>),
    /// See [`CreditKind::PairEnergies`].
    PairEnergies(PairLogps<P, E, D, T>, PairLogps<P, E, D>, PairScores<P, E, D, T>),
    /// See [`CreditKind::Divergences`].
    Divergences(TokenSums<P, E, D, T>),
    /// See [`CreditKind::Steps`].
    Steps(SequenceLogps<P, E, D, T>, SequenceLogps<P, E, D>),
}

impl<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>> CreditInput<P, C, E, D, T> {
    /// The kind.
    pub fn kind(&self) -> CreditKind {
        match self {
            Self::PairTokens(..) => CreditKind::PairTokens,
            Self::PairDivergences(..) => CreditKind::PairDivergences,
            Self::PairEnergies(..) => CreditKind::PairEnergies,
            Self::Divergences(..) => CreditKind::Divergences,
            Self::Steps(..) => CreditKind::Steps,
        }
    }

    /// Entries of a column that has one per `per`.
    fn entries(&self, per: Per) -> usize {
        let cells = |(rows, columns): (usize, usize)| rows * columns;
        match self {
            Self::PairTokens(policy, _) => match per {
                Per::Row => policy.rows(),
                Per::RejectedToken => cells(policy.rejected.size()),
                Per::Cell | Per::ChosenToken => cells(policy.chosen.size()),
            },
            Self::PairDivergences(policy, ..) | Self::PairEnergies(policy, ..) => policy.rows(),
            Self::Divergences(sums) => sums.rows(),
            Self::Steps(steps, _) => steps.rows(),
        }
    }
}

/// The input of a loss with the constants that it reads.
///
/// `P` is the axis of the rows, `C` the axis of the tokens where there is one, otherwise any.
#[derive(Clone, Debug)]
pub struct CreditBatch<P: Dim, C: Dim, E: Dtype, D: Device<E>, T = NoneTape> {
    pub(crate) input: CreditInput<P, C, E, D, T>,
    pub(crate) columns: Columns,
}

impl<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>> From<CreditInput<P, C, E, D, T>> for CreditBatch<P, C, E, D, T> {
    fn from(input: CreditInput<P, C, E, D, T>) -> Self {
        Self { input, columns: Columns::default() }
    }
}

impl<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>> CreditBatch<P, C, E, D, T> {
    /// Adds constants.
    #[must_use]
    pub fn with_columns(self, columns: Columns) -> Self {
        Self { columns, ..self }
    }

    /// Fails unless kind and constants are those that `method` reads.
    pub(crate) fn check<M: CreditMethod>(&self, name: &'static str, method: &M) -> Result<(), CreditError> {
        if self.input.kind() != M::INPUT {
            return Err(CreditError::WrongInput { method: name, needs: M::INPUT, found: self.input.kind() });
        }
        Ok(Column::check_all(name, &method.columns(), &self.columns, |per| self.input.entries(per))?)
    }

    /// Values of a column that [`check`](Self::check) has found.
    pub(crate) fn column(&self, column: &Column) -> Vec<f64> {
        self.columns.get(column.name).unwrap_or_default().to_vec()
    }
}

/// Takes the parts of a batch of one kind.
macro_rules! parts {
    ($($(#[$meta:meta])* $name:ident: $variant:ident($($part:ident: $type:ty),*);)*) => {
        impl<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>> CreditBatch<P, C, E, D, T> {
            $(
                $(#[$meta])*
                pub(crate) fn $name(self, method: &'static str) -> Result<($($type,)*), CreditError> {
                    match self.input {
                        CreditInput::$variant($($part),*) => Ok(($($part,)*)),
                        other => {
                            let (needs, found) = (CreditKind::$variant, other.kind());
                            Err(CreditError::WrongInput { method, needs, found })
                        }
                    }
                }
            )*
        }
    };
}

parts! {
    /// Policy and reference.
    into_pair_tokens: PairTokens(policy: PairTokens<P, C, E, D, T>, reference: PairTokens<P, C, E, D>);
    /// Policy, reference and divergences.
    into_pair_divergences: PairDivergences(
        policy: PairLogps<P, E, D, T>, reference: PairLogps<P, E, D>, divergences: PairScores<P, E, D, T>);
    /// Policy, reference and energies.
    into_pair_energies: PairEnergies(
        policy: PairLogps<P, E, D, T>, reference: PairLogps<P, E, D>, energies: PairScores<P, E, D, T>);
    /// Sums.
    into_divergences: Divergences(sums: TokenSums<P, E, D, T>);
    /// Reward model and policy.
    into_steps: Steps(model: SequenceLogps<P, E, D, T>, policy: SequenceLogps<P, E, D>);
}
