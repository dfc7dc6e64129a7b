//! What a stage learns from.
use crate::error::TrainError;
use tropism_data::pack::{Packed, pack_pairs, pack_samples};
use tropism_data::record::Source;
use tropism_data::tokens::{TokenPair, TokenSample};

/// Tokenised rows: pairs for pairwise objectives, samples for supervised ones.
#[derive(Clone, Debug)]
pub enum Rows {
    /// prompt, chosen, rejected
    Pairs(Vec<TokenPair>),
    /// prompt, completion
    Samples(Vec<TokenSample>),
}

impl Rows {
    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Rows::Pairs(p) => p.len(),
            Rows::Samples(s) => s.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tokens of each row once packed.
    pub fn lengths(&self) -> Vec<usize> {
        match self {
            Rows::Pairs(p) => p.iter().map(TokenPair::len).collect(),
            Rows::Samples(s) => s.iter().map(TokenSample::len).collect(),
        }
    }

    /// Where a row came from.
    pub fn source(&self, row: usize) -> &Source {
        match self {
            Rows::Pairs(p) => &p[row].source,
            Rows::Samples(s) => &s[row].source,
        }
    }

    /// The chosen rows, in that order.
    pub(crate) fn pick(&self, rows: &[usize]) -> Rows {
        match self {
            Rows::Pairs(p) => Rows::Pairs(rows.iter().map(|&r| p[r].clone()).collect()),
            Rows::Samples(s) => Rows::Samples(rows.iter().map(|&r| s[r].clone()).collect()),
        }
    }

    pub(crate) fn pack(&self) -> Result<Packed, TrainError> {
        Ok(match self {
            Rows::Pairs(p) => pack_pairs(p)?,
            Rows::Samples(s) => pack_samples(s)?,
        })
    }
}
