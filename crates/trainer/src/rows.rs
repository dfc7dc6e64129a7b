//! What a stage learns from.
use crate::error::TrainError;
use tropism_data::pack::{Packed, pack_pairs, pack_samples};
use tropism_data::record::Source;
use tropism_data::tokens::{TokenPair, TokenSample};
use tropism_objectives::{DESIRABLE, InputKind, Objective};

/// Tokenised rows.
#[derive(Clone, Debug)]
pub enum Rows {
    /// prompt, chosen, rejected
    Pairs(Vec<TokenPair>),
    /// prompt, completion
    Samples(Vec<TokenSample>),
    /// prompt, completion, and whether it is desirable
    Unpaired(Vec<(TokenSample, bool)>),
}

/// The kinds of [`Rows`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowKind {
    /// [`Rows::Pairs`]
    Pairs,
    /// [`Rows::Samples`]
    Samples,
    /// [`Rows::Unpaired`]
    Unpaired,
}

impl RowKind {
    /// The rows that an objective learns from; nothing where a stage has no such rows.
    pub fn of(objective: &Objective) -> Option<Self> {
        match objective.input() {
            InputKind::Pairs | InputKind::PairTokens => Some(RowKind::Pairs),
            InputKind::Completions if objective.columns().contains(&DESIRABLE) => Some(RowKind::Unpaired),
            InputKind::Completions | InputKind::CompletionTokens => Some(RowKind::Samples),
            _ => None,
        }
    }
}

impl Rows {
    /// The sides of pairs as single completions: the chosen ones desirable, the rejected ones not.
    pub fn unpaired(pairs: &[TokenPair]) -> Self {
        Rows::Unpaired(pairs.iter().flat_map(|p| [(p.chosen_sample(), true), (p.rejected_sample(), false)]).collect())
    }

    /// The kind.
    pub fn kind(&self) -> RowKind {
        match self {
            Rows::Pairs(_) => RowKind::Pairs,
            Rows::Samples(_) => RowKind::Samples,
            Rows::Unpaired(_) => RowKind::Unpaired,
        }
    }

    /// The pairs whose column `stage` holds `stage`, in their order: a stage of a curriculum. Nothing for rows of another kind
    /// and pairs without that column.
    pub fn of_data_stage(&self, stage: usize) -> Option<Rows> {
        let stages = self.numbers("stage")?;
        let at: Vec<usize> = (0..stages.len()).filter(|&row| stages[row] == stage as f64).collect();
        Some(self.pick(&at))
    }

    /// Pairs with chosen and rejected side swapped; rows of another kind as they are. Columns of numbers stay.
    pub fn swapped(&self) -> Rows {
        let Rows::Pairs(pairs) = self else { return self.clone() };
        let swap = |p: &TokenPair| {
            let mut p = p.clone();
            std::mem::swap(&mut p.chosen, &mut p.rejected);
            if let Some(other) = &mut p.rejected_prompt {
                std::mem::swap(other, &mut p.prompt);
            }
            p
        };
        Rows::Pairs(pairs.iter().map(swap).collect())
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Rows::Pairs(p) => p.len(),
            Rows::Samples(s) => s.len(),
            Rows::Unpaired(s) => s.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Completions of a row.
    pub(crate) fn sides(&self) -> usize {
        1 + usize::from(self.kind() == RowKind::Pairs)
    }

    /// Tokens of each row once packed.
    pub fn lengths(&self) -> Vec<usize> {
        match self {
            Rows::Pairs(p) => p.iter().map(TokenPair::len).collect(),
            Rows::Samples(s) => s.iter().map(TokenSample::len).collect(),
            Rows::Unpaired(s) => s.iter().map(|(s, _)| s.len()).collect(),
        }
    }

    /// Where a row came from.
    pub fn source(&self, row: usize) -> &Source {
        match self {
            Rows::Pairs(p) => &p[row].source,
            Rows::Samples(s) => &s[row].source,
            Rows::Unpaired(s) => &s[row].0.source,
        }
    }

    /// A column of numbers; nothing where a row lacks it.
    pub(crate) fn numbers(&self, column: &str) -> Option<Vec<f64>> {
        match self {
            Rows::Pairs(p) => p.iter().map(|p| p.numbers.get(column).copied()).collect(),
            Rows::Samples(_) | Rows::Unpaired(_) => None,
        }
    }

    /// All tokens of a row, part by part.
    pub(crate) fn parts(&self, row: usize) -> Vec<&[u32]> {
        match self {
            Rows::Pairs(p) => {
                let p = &p[row];
                [&p.prompt, &p.chosen, &p.rejected].into_iter().chain(&p.rejected_prompt).map(Vec::as_slice).collect()
            }
            Rows::Samples(s) => vec![&s[row].prompt, &s[row].completion],
            Rows::Unpaired(s) => vec![&s[row].0.prompt, &s[row].0.completion],
        }
    }

    /// The chosen rows, in that order.
    pub(crate) fn pick(&self, rows: &[usize]) -> Rows {
        fn some<R: Clone>(all: &[R], rows: &[usize]) -> Vec<R> {
            rows.iter().map(|&r| all[r].clone()).collect()
        }
        match self {
            Rows::Pairs(p) => Rows::Pairs(some(p, rows)),
            Rows::Samples(s) => Rows::Samples(some(s, rows)),
            Rows::Unpaired(s) => Rows::Unpaired(some(s, rows)),
        }
    }

    /// Unpaired rows with the completions of other prompts: each row's prompt with the completion of the next row, in the
    /// order of the data, that answers another prompt. Nothing when there is only one prompt, or for rows of another kind.
    pub(crate) fn mismatched(&self) -> Option<Rows> {
        let Rows::Unpaired(rows) = self else { return None };
        let n = rows.len();
        let other = |r: usize| {
            let next = (1..n).map(|k| (r + k) % n).find(|&o| rows[o].0.prompt != rows[r].0.prompt)?;
            Some(TokenSample { completion: rows[next].0.completion.clone(), ..rows[r].0.clone() })
        };
        (0..n).map(other).collect::<Option<Vec<_>>>().map(Rows::Samples)
    }

    pub(crate) fn pack(&self) -> Result<Packed, TrainError> {
        Ok(match self {
            Rows::Pairs(p) => pack_pairs(p)?,
            Rows::Samples(s) => pack_samples(s)?,
            Rows::Unpaired(s) => pack_samples(&s.iter().map(|(s, _)| s.clone()).collect::<Vec<_>>())?,
        })
    }
}
