//! What the methods read.

use std::fmt;

use dfdx::prelude::*;
use tropism_core::{
    ListLogps, PairLogps, PairScores, PairTokens, Per, RevisionLogps, ScoreTable, ScoredPairs, SequenceLogps, TokenLogps,
    TripleLogps, ValuedTokens,
};

/// The kinds of input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InputKind {
    /// Single completions, by sequence: [`SequenceLogps`].
    Completions,
    /// Single completions, by token: [`TokenLogps`].
    CompletionTokens,
    /// A chosen and a rejected completion: [`PairLogps`].
    Pairs,
    /// A chosen and a rejected completion, by token: [`PairTokens`].
    PairTokens,
    /// A chosen, a rejected and a third completion: [`TripleLogps`].
    Triples,
    /// `K` completions of a prompt: [`ListLogps`].
    Lists,
    /// A chosen and a rejected completion as answers and as revisions of each other: [`RevisionLogps`].
    Revisions,
    /// A chosen and a rejected completion with a trained score each: [`ScoredPairs`].
    ScoredPairs,
    /// Single completions, by token with values of the states: [`ValuedTokens`].
    ValuedTokens,
    /// Predicted scores of a chosen and a rejected completion: [`PairScores`].
    Scores,
    /// Predicted scores of aspects or steps: [`ScoreTable`].
    ScoreTables,
}

impl fmt::Display for InputKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Completions => "single completions",
            Self::CompletionTokens => "single completions by token",
            Self::Pairs => "pairs",
            Self::PairTokens => "pairs by token",
            Self::Triples => "pairs with a third completion",
            Self::Lists => "lists of completions",
            Self::Revisions => "pairs as answers and as revisions",
            Self::ScoredPairs => "pairs with trained scores",
            Self::ValuedTokens => "single completions by token with values",
            Self::Scores => "pairs of predicted scores",
            Self::ScoreTables => "tables of predicted scores",
        })
    }
}

/// Log-probabilities or scores of one batch: of the policy, and of the reference where the kind knows one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Input<P: Dim, C: Dim, E: Dtype, D: Device<E>, T = NoneTape> {
    /// See [`InputKind::Completions`].
    Completions(SequenceLogps<P, E, D, T>, Option<SequenceLogps<P, E, D>>),
    /// See [`InputKind::CompletionTokens`].
    CompletionTokens(TokenLogps<P, C, E, D, T>, Option<TokenLogps<P, C, E, D>>),
    /// See [`InputKind::Pairs`].
    Pairs(PairLogps<P, E, D, T>, Option<PairLogps<P, E, D>>),
    /// See [`InputKind::PairTokens`].
    PairTokens(PairTokens<P, C, E, D, T>, Option<PairTokens<P, C, E, D>>),
    /// See [`InputKind::Triples`].
    Triples(TripleLogps<P, E, D, T>, Option<TripleLogps<P, E, D>>),
    /// See [`InputKind::Lists`].
    Lists(ListLogps<P, C, E, D, T>, Option<ListLogps<P, C, E, D>>),
    /// See [`InputKind::Revisions`].
    Revisions(RevisionLogps<P, E, D, T>, Option<RevisionLogps<P, E, D>>),
    /// See [`InputKind::ScoredPairs`].
    ScoredPairs(ScoredPairs<P, E, D, T>, Option<ScoredPairs<P, E, D>>),
    /// See [`InputKind::ValuedTokens`]; the reference has no values.
    ValuedTokens(ValuedTokens<P, C, E, D, T>, Option<TokenLogps<P, C, E, D>>),
    /// See [`InputKind::Scores`].
    Scores(PairScores<P, E, D, T>),
    /// See [`InputKind::ScoreTables`].
    ScoreTables(ScoreTable<P, C, E, D, T>),
}

impl<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>> Input<P, C, E, D, T> {
    /// The kind.
    pub fn kind(&self) -> InputKind {
        match self {
            Self::Completions(..) => InputKind::Completions,
            Self::CompletionTokens(..) => InputKind::CompletionTokens,
            Self::Pairs(..) => InputKind::Pairs,
            Self::PairTokens(..) => InputKind::PairTokens,
            Self::Triples(..) => InputKind::Triples,
            Self::Lists(..) => InputKind::Lists,
            Self::Revisions(..) => InputKind::Revisions,
            Self::ScoredPairs(..) => InputKind::ScoredPairs,
            Self::ValuedTokens(..) => InputKind::ValuedTokens,
            Self::Scores(..) => InputKind::Scores,
            Self::ScoreTables(..) => InputKind::ScoreTables,
        }
    }

    /// Whether log-probabilities of a reference are there.
    pub fn has_reference(&self) -> bool {
        match self {
            Self::Completions(_, r) => r.is_some(),
            Self::CompletionTokens(_, r) => r.is_some(),
            Self::Pairs(_, r) => r.is_some(),
            Self::PairTokens(_, r) => r.is_some(),
            Self::Triples(_, r) => r.is_some(),
            Self::Lists(_, r) => r.is_some(),
            Self::Revisions(_, r) => r.is_some(),
            Self::ScoredPairs(_, r) => r.is_some(),
            Self::ValuedTokens(_, r) => r.is_some(),
            Self::Scores(_) | Self::ScoreTables(_) => false,
        }
    }

    /// A second use: the same values with an empty tape.
    pub(crate) fn fork(&self) -> Self {
        match self {
            Self::Completions(x, r) => Self::Completions(x.fork(), r.clone()),
            Self::CompletionTokens(x, r) => Self::CompletionTokens(x.fork(), r.clone()),
            Self::Pairs(x, r) => Self::Pairs(x.fork(), r.clone()),
            Self::PairTokens(x, r) => Self::PairTokens(x.fork(), r.clone()),
            Self::Triples(x, r) => Self::Triples(x.fork(), r.clone()),
            Self::Lists(x, r) => Self::Lists(x.fork(), r.clone()),
            Self::Revisions(x, r) => Self::Revisions(x.fork(), r.clone()),
            Self::ScoredPairs(x, r) => Self::ScoredPairs(x.fork(), r.clone()),
            Self::ValuedTokens(x, r) => Self::ValuedTokens(x.fork(), r.clone()),
            Self::Scores(x) => Self::Scores(x.fork()),
            Self::ScoreTables(x) => Self::ScoreTables(x.fork()),
        }
    }

    /// The policy alone.
    pub(crate) fn without_reference(self) -> Self {
        match self {
            Self::Completions(x, _) => Self::Completions(x, None),
            Self::CompletionTokens(x, _) => Self::CompletionTokens(x, None),
            Self::Pairs(x, _) => Self::Pairs(x, None),
            Self::PairTokens(x, _) => Self::PairTokens(x, None),
            Self::Triples(x, _) => Self::Triples(x, None),
            Self::Lists(x, _) => Self::Lists(x, None),
            Self::Revisions(x, _) => Self::Revisions(x, None),
            Self::ScoredPairs(x, _) => Self::ScoredPairs(x, None),
            Self::ValuedTokens(x, _) => Self::ValuedTokens(x, None),
            other => other,
        }
    }

    /// Entries of a column that has one per `per`.
    pub(crate) fn entries(&self, per: Per) -> usize {
        let cells = |(rows, columns): (usize, usize)| rows * columns;
        match (self, per) {
            (Self::Completions(x, _), _) => x.rows(),
            (Self::Pairs(x, _), _) => x.rows(),
            (Self::Triples(x, _), _) => x.rows(),
            (Self::Scores(x), _) => x.rows(),
            (Self::Revisions(x, _), _) => x.rows(),
            (Self::ScoredPairs(x, _), _) => x.rows(),
            (Self::ValuedTokens(x, _), Per::Row) => x.size().0,
            (Self::ValuedTokens(x, _), _) => cells(x.size()),
            (Self::CompletionTokens(x, _), Per::Row) => x.size().0,
            (Self::CompletionTokens(x, _), _) => cells(x.size()),
            (Self::PairTokens(x, _), Per::Row) => x.rows(),
            (Self::PairTokens(x, _), Per::RejectedToken) => cells(x.rejected.size()),
            (Self::PairTokens(x, _), _) => cells(x.chosen.size()),
            (Self::Lists(x, _), Per::Row) => x.size().0,
            (Self::Lists(x, _), _) => cells(x.size()),
            (Self::ScoreTables(x), Per::Row) => x.size().0,
            (Self::ScoreTables(x), _) => cells(x.size()),
        }
    }
}
