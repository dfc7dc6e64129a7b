//! What a stage learns from.
use crate::error::TrainError;
use std::ops::Range;
use tropism_data::pack::{Packed, pack_groups, pack_pairs, pack_samples};
use tropism_data::record::{Numbers, Source};
use tropism_data::tokens::{TokenGroup, TokenPair, TokenSample};
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
    /// prompt, chosen, rejected and a third completion
    Triples(Vec<TokenTriple>),
    /// pairs as answers, and as revisions of each other
    Revisions(Vec<TokenRevision>),
}

/// A tokenised prompt with a pair and a third completion, such as the reference's own.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenTriple {
    /// where it came from
    pub source: Source,
    /// prompt tokens; may be empty
    pub prompt: Vec<u32>,
    /// tokens of the chosen, the rejected and the third completion
    pub completions: [Vec<u32>; 3],
    /// further columns that a loss reads
    pub numbers: Numbers,
}

/// A pair of which each side is also a revision of either side.
///
/// ```text
/// contexts:   prompt     after_rejected     after_chosen
/// each with:  chosen, rejected
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct TokenRevision {
    /// the pair
    pub pair: TokenPair,
    /// the prompt that shows the rejected completion and asks for a better one
    pub after_rejected: Vec<u32>,
    /// the prompt that shows the chosen completion
    pub after_chosen: Vec<u32>,
}

impl TokenRevision {
    /// Tokens of all contexts with both completions.
    pub fn len(&self) -> usize {
        self.pairs().iter().map(TokenPair::len).sum()
    }

    /// True where there is no token at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The pair in its three contexts: the prompt alone, behind the rejected and behind the chosen completion.
    fn pairs(&self) -> [TokenPair; 3] {
        let behind = |prompt: &Vec<u32>| TokenPair { prompt: prompt.clone(), rejected_prompt: None, ..self.pair.clone() };
        [self.pair.clone(), behind(&self.after_rejected), behind(&self.after_chosen)]
    }
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
    /// [`Rows::Triples`]
    Triples,
    /// [`Rows::Revisions`]
    Revisions,
}

impl RowKind {
    /// The rows that an objective learns from; nothing where a stage has no such rows.
    pub fn of(objective: &Objective) -> Option<Self> {
        match objective.input() {
            InputKind::Pairs | InputKind::PairTokens => Some(RowKind::Pairs),
            InputKind::Completions if objective.columns().contains(&DESIRABLE) => Some(RowKind::Unpaired),
            InputKind::Completions | InputKind::CompletionTokens => Some(RowKind::Samples),
            InputKind::Triples => Some(RowKind::Triples),
            InputKind::Revisions => Some(RowKind::Revisions),
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
            Rows::Triples(_) => RowKind::Triples,
            Rows::Revisions(_) => RowKind::Revisions,
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
            p.given.reverse();
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
            Rows::Triples(t) => t.len(),
            Rows::Revisions(r) => r.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Completions of a row.
    pub(crate) fn sides(&self) -> usize {
        match self.kind() {
            RowKind::Samples | RowKind::Unpaired => 1,
            RowKind::Pairs => 2,
            RowKind::Triples => 3,
            RowKind::Revisions => 6,
        }
    }

    /// Tokens of each row once packed.
    pub fn lengths(&self) -> Vec<usize> {
        match self {
            Rows::Pairs(p) => p.iter().map(TokenPair::len).collect(),
            Rows::Samples(s) => s.iter().map(TokenSample::len).collect(),
            Rows::Unpaired(s) => s.iter().map(|(s, _)| s.len()).collect(),
            Rows::Triples(t) => {
                t.iter().map(|t| t.prompt.len() + t.completions.iter().map(Vec::len).sum::<usize>()).collect()
            }
            Rows::Revisions(r) => r.iter().map(TokenRevision::len).collect(),
        }
    }

    /// Where a row came from.
    pub fn source(&self, row: usize) -> &Source {
        match self {
            Rows::Pairs(p) => &p[row].source,
            Rows::Samples(s) => &s[row].source,
            Rows::Unpaired(s) => &s[row].0.source,
            Rows::Triples(t) => &t[row].source,
            Rows::Revisions(r) => &r[row].pair.source,
        }
    }

    /// A column of numbers; nothing where a row lacks it.
    pub(crate) fn numbers(&self, column: &str) -> Option<Vec<f64>> {
        match self {
            Rows::Pairs(p) => p.iter().map(|p| p.numbers.get(column).copied()).collect(),
            Rows::Triples(t) => t.iter().map(|t| t.numbers.get(column).copied()).collect(),
            Rows::Revisions(r) => r.iter().map(|r| r.pair.numbers.get(column).copied()).collect(),
            Rows::Samples(_) | Rows::Unpaired(_) => None,
        }
    }

    /// Parts of a row's completions that their author did not write, with the completion's number.
    pub(crate) fn given(&self, row: usize) -> Vec<(usize, Range<usize>)> {
        let sides: Vec<&[Range<usize>]> = match self {
            Rows::Pairs(p) => p[row].given.iter().map(Vec::as_slice).collect(),
            Rows::Revisions(r) => r[row].pair.given.iter().map(Vec::as_slice).collect(),
            Rows::Samples(s) => vec![&s[row].given],
            Rows::Unpaired(s) => vec![&s[row].0.given],
            Rows::Triples(_) => vec![],
        };
        sides.iter().enumerate().flat_map(|(side, parts)| parts.iter().map(move |part| (side, part.clone()))).collect()
    }

    /// All tokens of a row, part by part.
    pub(crate) fn parts(&self, row: usize) -> Vec<&[u32]> {
        fn pair(p: &TokenPair) -> Vec<&[u32]> {
            [&p.prompt, &p.chosen, &p.rejected].into_iter().chain(&p.rejected_prompt).map(Vec::as_slice).collect()
        }
        match self {
            Rows::Pairs(p) => pair(&p[row]),
            Rows::Triples(t) => [&t[row].prompt].into_iter().chain(&t[row].completions).map(Vec::as_slice).collect(),
            Rows::Revisions(r) => {
                pair(&r[row].pair).into_iter().chain([&r[row].after_rejected[..], &r[row].after_chosen[..]]).collect()
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
            Rows::Triples(t) => Rows::Triples(some(t, rows)),
            Rows::Revisions(r) => Rows::Revisions(some(r, rows)),
        }
    }

    /// Unpaired rows with the completions of other prompts: each row's prompt with the completion of the next row, in the
    /// order of the data, that answers another prompt. Nothing when there is only one prompt, or for rows of another kind.
    pub(crate) fn mismatched(&self) -> Option<Rows> {
        let Rows::Unpaired(rows) = self else { return None };
        let n = rows.len();
        let other = |r: usize| {
            let next = (1..n).map(|k| (r + k) % n).find(|&o| rows[o].0.prompt != rows[r].0.prompt)?;
            let other = &rows[next].0;
            let (completion, given) = (other.completion.clone(), other.given.clone());
            Some(TokenSample { completion, given, ..rows[r].0.clone() })
        };
        (0..n).map(other).collect::<Option<Vec<_>>>().map(Rows::Samples)
    }

    pub(crate) fn pack(&self) -> Result<Packed, TrainError> {
        Ok(match self {
            Rows::Pairs(p) => pack_pairs(p)?,
            Rows::Samples(s) => pack_samples(s)?,
            Rows::Unpaired(s) => pack_samples(&s.iter().map(|(s, _)| s.clone()).collect::<Vec<_>>())?,
            Rows::Triples(t) => {
                let group = |t: &TokenTriple| TokenGroup {
                    source: t.source.clone(),
                    prompt: t.prompt.clone(),
                    responses: t.completions.to_vec(),
                };
                pack_groups(&t.iter().map(group).collect::<Vec<_>>())?
            }
            Rows::Revisions(r) => pack_pairs(&r.iter().flat_map(TokenRevision::pairs).collect::<Vec<_>>())?,
        })
    }
}
