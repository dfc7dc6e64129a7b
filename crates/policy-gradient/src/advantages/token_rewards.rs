//! Rewards per token: a score for the completion and a KL penalty along the way.

use serde::{Deserialize, Serialize};
use tropism_core::CoreError;
use tropism_core::options::{any, finite};

use super::gae::{check_cells, rows_of};
use crate::options::options;
use crate::{Estimator, PolicyGradientError};

/// Which token the score of a completion is paid at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScorePlace {
    /// The last token of the completion, as OpenRLHF and verl do.
    #[default]
    Last,
    /// The column after it if there is one, as TRL's PPO does: the last token receives the score through the value of that
    /// column.
    AfterLast,
}

options! {
    /// Options of [`token_rewards()`].
    TokenRewards = "token_rewards" {
        /// Weight of the KL penalty; 0.05 by default.
        kl_coefficient: f64 = 0.05, with_kl_coefficient, finite;
        /// The estimate; k1 by default.
        estimator: Estimator = Estimator::K1, with_estimator, any;
        /// Where the score is paid; at the last token by default.
        score_place: ScorePlace = ScorePlace::Last, with_score_place, any;
    }
}

/// Rewards per token: `−coefficient · estimate(logp_old, logp_ref)` on each token, and the score of the completion on one.
///
/// `old`, `reference` and `mask` are `[rows, columns]` row by row, `scores` one per row. Cells outside the mask get 0, but
/// for the one after the last token where [`ScorePlace::AfterLast`] pays. No gradient flows: the penalty acts through
/// advantages.
///
/// # Errors
/// [`PolicyGradientError::Option`]; [`CoreError::SizeMismatch`]; [`PolicyGradientError::Entry`] for a number that is not
/// finite.
///
/// ```
/// use tropism_policy_gradient::{TokenRewards, token_rewards};
///
/// let config = TokenRewards::default().with_kl_coefficient(0.5);
/// let (old, reference) = ([-1.0, -2.0, 0.0], [-1.5, -1.0, 0.0]);
/// assert_eq!(token_rewards(&old, &reference, &[true, true, false], &[3.0], &config)?, [-0.25, 3.5, 0.0]);
/// # Ok::<(), tropism_policy_gradient::PolicyGradientError>(())
/// ```
pub fn token_rewards(
    old: &[f64],
    reference: &[f64],
    mask: &[bool],
    scores: &[f64],
    config: &TokenRewards,
) -> Result<Vec<f64>, PolicyGradientError> {
    config.check()?;
    CoreError::check_finite("scores", scores)?;
    let columns = mask.len() / scores.len().max(1);
    CoreError::check_size("scores", rows_of(mask, columns)?, scores.len())?;
    check_cells("old logps", old, mask)?;
    check_cells("reference logps", reference, mask)?;
    let penalty = |i: usize| -config.kl_coefficient * config.estimator.at(reference[i] - old[i]).0;
    let mut rewards: Vec<f64> = (0..mask.len()).map(|i| if mask[i] { penalty(i) } else { 0.0 }).collect();
    for (row, score) in scores.iter().enumerate() {
        let cells = row * columns..(row + 1) * columns;
        // An empty completion is paid in its first column.
        let last = cells.clone().rev().find(|&i| mask[i]);
        let after = last.map_or(cells.start, |i| i + 1);
        let place = match (config.score_place, last) {
            (ScorePlace::AfterLast, _) | (_, None) if after < cells.end => after,
            (_, last) => last.unwrap_or(cells.start),
        };
        rewards[place] += score;
    }
    Ok(rewards)
}

/// The KL penalty of whole completions, to be taken off their rewards: `coefficient · Σ_t estimate`.
///
/// Arguments as in [`token_rewards`]; the estimate of RLOO is k1.
///
/// # Errors
/// As [`token_rewards`].
///
/// ```
/// use tropism_policy_gradient::{Estimator, sequence_penalty};
///
/// let penalty = sequence_penalty(&[-1.0, -2.0], &[-1.5, 9.0], &[true, false], 2, 0.5, Estimator::K1)?;
/// assert_eq!(penalty, [0.25]);
/// # Ok::<(), tropism_policy_gradient::PolicyGradientError>(())
/// ```
pub fn sequence_penalty(
    old: &[f64],
    reference: &[f64],
    mask: &[bool],
    columns: usize,
    coefficient: f64,
    estimator: Estimator,
) -> Result<Vec<f64>, PolicyGradientError> {
    let rows = rows_of(mask, columns)?;
    check_cells("old logps", old, mask)?;
    check_cells("reference logps", reference, mask)?;
    CoreError::check_finite("KL coefficient", &[coefficient])?;
    let of = |row: usize| {
        let counted = (row * columns..(row + 1) * columns).filter(|&i| mask[i]);
        coefficient * counted.map(|i| estimator.at(reference[i] - old[i]).0).sum::<f64>()
    };
    Ok((0..rows).map(of).collect())
}
