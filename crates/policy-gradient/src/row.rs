//! The counted tokens of one completion, as plain numbers.

use dfdx::prelude::*;
use serde::{Deserialize, Serialize};

use crate::Rollout;

/// The counted tokens of a completion; masked cells are not in it, so no formula can see them.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// Places of the tokens in the table.
    pub(crate) cells: Vec<usize>,
    pub(crate) logps: Vec<f64>,
    pub(crate) old: Vec<f64>,
    pub(crate) advantages: Vec<f64>,
    /// That of the completion, if it was given so.
    pub(crate) advantage: f64,
    pub(crate) reference: Option<Vec<f64>>,
    pub(crate) sampler: Option<Vec<f64>>,
    pub(crate) entropies: Option<Vec<f64>>,
}

impl Row {
    /// The rows of a rollout.
    pub(crate) fn all<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(rollout: &Rollout<P, C, E, D, T>) -> Vec<Self> {
        let columns = rollout.policy.size().1;
        let logps = rollout.policy.values();
        let old = rollout.old.as_ref().map(|t| t.values());
        let reference = rollout.reference.as_ref().map(|t| t.values());
        let sampler = rollout.sampler.as_ref().map(|t| t.values());
        let entropies = rollout.entropies.as_ref().map(|t| t.values());
        let row = |(row, mask): (usize, &[bool])| {
            let cells: Vec<usize> = (0..columns).filter(|&c| mask[c]).map(|c| row * columns + c).collect();
            let pick = |values: &[f64]| cells.iter().map(|&i| values[i]).collect::<Vec<f64>>();
            let logps = pick(&logps);
            Self {
                old: old.as_deref().map_or_else(|| logps.clone(), pick),
                advantages: rollout.advantages.as_deref().map_or_else(|| vec![0.0; cells.len()], pick),
                reference: reference.as_deref().map(pick),
                sampler: sampler.as_deref().map(pick),
                entropies: entropies.as_deref().map(pick),
                advantage: rollout.row_advantages.as_ref().map_or(0.0, |a| a[row]),
                logps,
                cells,
            }
        };
        rollout.policy.mask().chunks(columns).enumerate().map(row).collect()
    }

    /// Number of tokens.
    pub(crate) fn len(&self) -> usize {
        self.cells.len()
    }

    /// `logp − logp_old` of each token.
    pub(crate) fn log_ratios(&self) -> Vec<f64> {
        self.logps.iter().zip(&self.old).map(|(new, old)| new - old).collect()
    }
}

/// Mean, 0 of nothing.
pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// What the importance ratio is a ratio of. The log-ratio of a token is `logp − logp_old`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RatioLevel {
    /// Of each token.
    Token,
    /// Of the completion, by the mean log-ratio of its tokens: one ratio for all of them (GSPO).
    Sequence,
    /// The value of `sequence`, with each token's gradient in its own log-probability alone (GSPO-token).
    SequenceToken,
    /// Of the completion, by the sum of the log-ratios of its tokens (RLOO).
    SequenceSum,
}

impl RatioLevel {
    /// The log-ratio that each token's loss reads.
    pub(crate) fn log_ratios(self, row: &Row) -> Vec<f64> {
        let each = row.log_ratios();
        match self {
            Self::Token => each,
            Self::Sequence | Self::SequenceToken => vec![mean(&each); each.len()],
            Self::SequenceSum => vec![each.iter().sum(); each.len()],
        }
    }

    /// From slopes in those log-ratios to slopes in the tokens' log-probabilities.
    pub(crate) fn pull(self, slopes: Vec<f64>) -> Vec<f64> {
        let n = slopes.len();
        match self {
            Self::Token | Self::SequenceToken => slopes,
            Self::Sequence => vec![mean(&slopes); n],
            Self::SequenceSum => vec![slopes.iter().sum(); n],
        }
    }

    /// Whether a completion has one ratio, so that shares are counted by completion instead of by token.
    pub(crate) fn is_whole(self) -> bool {
        matches!(self, Self::Sequence | Self::SequenceSum)
    }
}
