//! The completions of a step with all that is known of them.
use super::advantages::Credit;
use std::ops::Range;
use tropism_data::tokens::TokenSample;
use tropism_policy_gradient::{Groups, RewardTable};

/// Completions, group by group. Lists by completion and token hold the sampled tokens and nothing else.
pub(crate) struct Batch {
    pub(crate) samples: Vec<TokenSample>,
    /// the sampled tokens of each completion: all of it, but for what was said between the turns of an episode
    pub(crate) written: Vec<Vec<u32>>,
    /// the turns' places among them, neighbours; one for a completion of one turn
    pub(crate) turns: Vec<Vec<Range<usize>>>,
    /// the world's rewards of the turns
    pub(crate) turn_rewards: Option<Vec<Vec<f64>>>,
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

    /// Sampled tokens of the longest completion.
    pub(crate) fn width(&self) -> usize {
        self.written.iter().map(Vec::len).max().unwrap_or(0)
    }

    /// Cells of a rectangle of completions that hold tokens, row by row.
    pub(crate) fn mask(&self) -> Vec<bool> {
        let width = self.width();
        self.written.iter().flat_map(|w| (0..width).map(|c| c < w.len())).collect()
    }

    /// Values of tokens in such a rectangle, 0 elsewhere.
    pub(crate) fn spread(&self, values: &[Vec<f64>]) -> Vec<f64> {
        let width = self.width();
        let cell = |row: &Vec<f64>, c: usize| row.get(c).copied().unwrap_or(0.0);
        values.iter().flat_map(|row| (0..width).map(move |c| cell(row, c))).collect()
    }

    /// The reverse of [`Batch::spread`].
    pub(crate) fn gather(&self, cells: &[f64]) -> Vec<Vec<f64>> {
        let rows = cells.chunks(self.width()).zip(&self.written);
        rows.map(|(row, w)| row[..w.len()].to_vec()).collect()
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
