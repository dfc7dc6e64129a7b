//! REINFORCE++ with a baseline: the group's mean is taken off, then the batch is whitened.

use tropism_core::options::any;

use super::gae::rows_of;
use super::group::by_group;
use super::rewards::{Advantages, RewardTable, ZeroVariance};
use super::whiten::{Shift, Variance, whiten};
use crate::options::options;
use crate::{Groups, PolicyGradientError};

options! {
    /// Options of [`reinforce_baseline()`].
    ReinforceBaseline = "reinforce_plus_plus_baseline" {
        /// The variance of the whitening.
        variance: Variance = Variance::Unbiased, with_variance, any;
        /// What is done with groups of equal rewards. They stay in the whitening.
        zero_variance: ZeroVariance = ZeroVariance::Zero, with_zero_variance, any;
    }
}

/// REINFORCE++-baseline advantages: rewards minus the mean of their group, whitened over all tokens of the batch.
///
/// ```text
/// d_i = R_i − mean_group R        A_i = (d_i − mean) / sqrt(var + 1e-8)
///                                    moments over tokens: a row counts by its length
/// ```
///
/// Whitening takes off the mean over tokens, so that advantages of a group of equal rewards are near 0, but not 0. `mask` is
/// `[rows, columns]` row by row. Completions without a reward count as 0 in the whitening.
///
/// Source: Hu 2025, arXiv 2501.03262; verl's estimator of that name.
///
/// # Errors
/// As [`group_normalized`](crate::group_normalized) and [`whiten`].
///
/// ```
/// use tropism_policy_gradient::{Groups, ReinforceBaseline, RewardTable, reinforce_baseline};
///
/// let rewards = RewardTable::single(&[1.0, 0.0])?;
/// let found = reinforce_baseline(&rewards, &Groups::new(&[0; 2])?, &[true; 4], 2, &ReinforceBaseline::default())?;
/// assert!((found.values[0] - 0.75_f64.sqrt()).abs() < 1e-7);
/// # Ok::<(), tropism_policy_gradient::PolicyGradientError>(())
/// ```
pub fn reinforce_baseline(
    rewards: &RewardTable,
    groups: &Groups,
    mask: &[bool],
    columns: usize,
    config: &ReinforceBaseline,
) -> Result<Advantages, PolicyGradientError> {
    config.check()?;
    groups.check_rows(rewards.rows())?;
    tropism_core::CoreError::check_size("rows of the mask", rewards.rows(), rows_of(mask, columns)?)?;
    let sums = rewards.sums();
    let moments = by_group(&sums, groups);
    let centred = |row: usize| if sums[row].is_nan() { 0.0 } else { sums[row] - moments[groups.of(row)].mean };
    let by_cell: Vec<f64> = (0..mask.len()).map(|i| centred(i / columns)).collect();
    let white = whiten(&by_cell, mask, config.variance, Shift::ToZero)?;
    Advantages::of(&sums, groups, config.zero_variance, |row| {
        // All tokens of a row have one advantage; an empty row has none.
        (row * columns..(row + 1) * columns).find(|&i| mask[i]).map_or(0.0, |i| white[i])
    })
}
