//! Several rewards: each normalised by itself, and a price for falling below a floor.

use tropism_core::options::not_negative;
use tropism_core::{CoreError, options::any};

use super::group::{Deviation, by_group, divided};
use super::rewards::{Advantages, Moments, RewardTable, ZeroVariance};
use crate::options::options;
use crate::{Groups, PolicyGradientError};

options! {
    /// Options of [`normalize_then_sum()`].
    NormalizeThenSum = "normalize_then_sum" {
        /// Sample or population; a sample by default.
        deviation: Deviation = Deviation::Sample, with_deviation, any;
        /// What is added to deviations; 1e-4 by default, as in TRL.
        epsilon: f64 = 1e-4, with_epsilon, not_negative;
        /// What is done with groups whose sums `U` are all equal. Equal weighted sums of different rewards are none.
        zero_variance: ZeroVariance = ZeroVariance::Zero, with_zero_variance, any;
    }
}

/// Each reward function normalised in its group, then summed, then normalised over the batch.
///
/// ```text
/// Z_ik = (r_ik − mean_group r_k) / (std_group r_k + ε)        0 where r_ik is not there
/// U_i  = Σ_k w_k Z_ik
/// A_i  = (U_i − mean_batch U) / (std_batch U + ε)
/// ```
///
/// Unlike [`group_normalized`](crate::group_normalized) of the weighted sum, no function dominates by its range, and
/// completions with equal sums of different rewards differ. Statistics run over the whole batch: call it before a step is
/// split.
///
/// Source: GDPO, Liu et al. 2026, arXiv 2601.05242; TRL's `normalize_then_sum`.
///
/// # Errors
/// As [`group_normalized`](crate::group_normalized).
///
/// ```
/// use tropism_policy_gradient::{Groups, NormalizeThenSum, RewardTable, normalize_then_sum};
///
/// // Equal sums: the first function separates the completions less than the second, relative to its spread.
/// let rewards = RewardTable::new(&[0.0, 1.0, 0.5, 0.5, 0.5, 0.75], &[1.0, 1.0])?;
/// let found = normalize_then_sum(&rewards, &Groups::new(&[0; 3])?, &NormalizeThenSum::default())?;
/// assert!(found.values[0] != found.values[1]);
/// # Ok::<(), tropism_policy_gradient::PolicyGradientError>(())
/// ```
pub fn normalize_then_sum(
    rewards: &RewardTable,
    groups: &Groups,
    config: &NormalizeThenSum,
) -> Result<Advantages, PolicyGradientError> {
    config.check()?;
    groups.check_rows(rewards.rows())?;
    let less = config.deviation.less();
    let mut sums = vec![f64::NAN; rewards.rows()];
    for (function, weight) in rewards.weights().iter().enumerate() {
        let values = rewards.of(function);
        let moments = by_group(&values, groups);
        for (row, &value) in values.iter().enumerate().filter(|(_, v)| !v.is_nan()) {
            let group = &moments[groups.of(row)];
            let z = divided(value - group.mean, group.deviation(less) + config.epsilon);
            sums[row] = if sums[row].is_nan() { 0.0 } else { sums[row] } + weight * z;
        }
    }
    let batch = Moments::of(sums.iter().copied());
    let scale = batch.deviation(less) + config.epsilon;
    Advantages::of(&sums, groups, config.zero_variance, |row| divided(sums[row] - batch.mean, scale))
}

/// A reward with a price for falling below a floor: `R_i = reward_i − price · max(0, floor − value_i)`.
///
/// For a constraint such as safety beside the weighted sum of other objectives.
///
/// # Errors
/// [`CoreError::SizeMismatch`]; [`CoreError::NotFinite`] for a floor or price that is not finite.
///
/// ```
/// use tropism_policy_gradient::floor_penalty;
///
/// assert_eq!(floor_penalty(&[1.0, 1.0], &[0.25, 0.75], 0.5, 2.0)?, [0.5, 1.0]);
/// # Ok::<(), tropism_policy_gradient::PolicyGradientError>(())
/// ```
pub fn floor_penalty(rewards: &[f64], values: &[f64], floor: f64, price: f64) -> Result<Vec<f64>, PolicyGradientError> {
    CoreError::check_size("constrained values", rewards.len(), values.len())?;
    CoreError::check_finite("floor and price", &[floor, price])?;
    Ok(rewards.iter().zip(values).map(|(r, v)| r - price * (floor - v).max(0.0)).collect())
}
