//! The completions of a step with all that is known of them.
use super::advantages::Credit;
use std::ops::Range;
use tropism_data::tokens::TokenSample;
use tropism_policy_gradient::{Groups, RewardTable};

/// Completions, group by group. Lists by completion and token hold the sampled tokens and nothing else.
pub(crate) struct Batch {
    pub(crate) samples: Vec<TokenSample>,
    pub(crate) groups: Groups,
    /// the rows of each group
    pub(crate) members: Vec<Range<usize>>,
    pub(crate) table: RewardTable,
    /// weighted sums of the rewards; NaN where there is none
    pub(crate) sums: Vec<f64>,
    /// whether the length limit cut a completion
    pub(crate) truncated: Vec<bool>,
    /// completions that the loss keeps
    pub(crate) kept: Vec<bool>,
    /// log-probabilities as the sampler has them
    pub(crate) sampler: Vec<Vec<f64>>,
    /// of the policy that sampled
    pub(crate) old: Option<Vec<Vec<f64>>>,
    /// of the reference
    pub(crate) reference: Option<Vec<Vec<f64>>>,
    /// the critic's values when it was sampled
    pub(crate) values: Option<Vec<Vec<f64>>>,
    pub(crate) returns: Option<Vec<Vec<f64>>>,
    /// rewards by completion and token, in place of the completion's reward at its last token
    pub(crate) shaped: Option<Vec<Vec<f64>>>,
    pub(crate) credit: Option<Credit>,
}

impl Batch {
    pub(crate) fn rows(&self) -> usize {
        self.samples.len()
    }

    /// Tokens of the longest completion.
    pub(crate) fn width(&self) -> usize {
        self.samples.iter().map(|s| s.completion.len()).max().unwrap_or(0)
    }

    /// Cells of a rectangle of completions that hold tokens, row by row.
    pub(crate) fn mask(&self) -> Vec<bool> {
        let width = self.width();
        self.samples.iter().flat_map(|s| (0..width).map(|c| c < s.completion.len())).collect()
    }

    /// Values of tokens in such a rectangle, 0 elsewhere.
    pub(crate) fn spread(&self, values: &[Vec<f64>]) -> Vec<f64> {
        let width = self.width();
        let cell = |row: &Vec<f64>, c: usize| row.get(c).copied().unwrap_or(0.0);
        values.iter().flat_map(|row| (0..width).map(move |c| cell(row, c))).collect()
    }

    /// The reverse of [`Batch::spread`].
    pub(crate) fn gather(&self, cells: &[f64]) -> Vec<Vec<f64>> {
        let rows = cells.chunks(self.width()).zip(&self.samples);
        rows.map(|(row, s)| row[..s.completion.len()].to_vec()).collect()
    }

    /// Tokens of each of the given groups once packed: the prompt counts once.
    pub(crate) fn lengths(&self, groups: &[usize]) -> Vec<usize> {
        let of = |g: &usize| {
            let members = &self.samples[self.members[*g].clone()];
            members[0].prompt.len() + members.iter().map(|s| s.completion.len()).sum::<usize>()
        };
        groups.iter().map(of).collect()
    }

    /// The rows of some groups.
    pub(crate) fn rows_of(&self, groups: &[usize]) -> Vec<usize> {
        groups.iter().flat_map(|&g| self.members[g].clone()).collect()
    }

    /// The samples of some rows.
    pub(crate) fn pick(&self, rows: &[usize]) -> Vec<TokenSample> {
        rows.iter().map(|&r| self.samples[r].clone()).collect()
    }
}
