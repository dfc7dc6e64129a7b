//! RLOO's advantages: rewards against the mean of the others in the group.

use serde::{Deserialize, Serialize};
use tropism_core::OptionError;
use tropism_core::options::{any, not_negative};

use super::group::divided;
use super::rewards::{Advantages, Moments, RewardTable, ZeroVariance};
use crate::options::options;
use crate::{Groups, PolicyGradientError};

/// Bounds of rewards.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipRange {
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
}

impl ClipRange {
    fn check(method: &'static str, key: &'static str, value: &Option<Self>) -> Result<(), OptionError> {
        match value {
            Some(range) if !(range.low.is_finite() && range.high.is_finite() && range.low < range.high) => {
                let problem = format!("goes from {} to {}; the bounds must be finite and rise", range.low, range.high);
                Err(OptionError::Problem { method, key, problem })
            }
            _ => Ok(()),
        }
    }
}

options! {
    /// Options of [`leave_one_out()`].
    LeaveOneOut = "leave_one_out" {
        /// Bounds of the weighted sum of rewards, before a penalty; none by default.
        reward_clip_range: Option<ClipRange> = None, with_reward_clip_range, ClipRange::check;
        /// Whether advantages are normalised over the batch; they are not by default.
        normalize_advantages: bool = false, with_normalize_advantages, any;
        /// What is added to the deviation of a normalisation; 1e-4 by default, as in TRL.
        epsilon: f64 = 1e-4, with_epsilon, not_negative;
        /// What is done with groups of equal rewards.
        zero_variance: ZeroVariance = ZeroVariance::Zero, with_zero_variance, any;
    }
}

/// Rewards minus the mean of the other rewards of the group.
///
/// ```text
/// R_i = clip(Σ_k w_k r_ik) − penalty_i        A_i = R_i − (Σ_group R − R_i) / (n − 1)
/// ```
///
/// `penalty` is [`sequence_penalty`](crate::sequence_penalty)'s KL penalty, or empty for none. A group of which only one
/// completion has a reward has no baseline: its advantage is 0, and the group counts as one of equal rewards.
///
/// Source: Kool et al. 2019; Ahmadian et al. 2024, arXiv 2402.14740; TRL's RLOO trainer.
///
/// # Errors
/// As [`group_normalized`](crate::group_normalized).
///
/// ```
/// use tropism_policy_gradient::{Groups, LeaveOneOut, RewardTable, leave_one_out};
///
/// let rewards = RewardTable::single(&[1.0, 0.0, 0.5])?;
/// let found = leave_one_out(&rewards, &[], &Groups::new(&[0; 3])?, &LeaveOneOut::default())?;
/// assert_eq!(found.values, [0.75, -0.75, 0.0]);
/// # Ok::<(), tropism_policy_gradient::PolicyGradientError>(())
/// ```
pub fn leave_one_out(
    rewards: &RewardTable,
    penalty: &[f64],
    groups: &Groups,
    config: &LeaveOneOut,
) -> Result<Advantages, PolicyGradientError> {
    config.check()?;
    groups.check_rows(rewards.rows())?;
    let mut sums = rewards.sums();
    if let Some(range) = config.reward_clip_range {
        sums.iter_mut().for_each(|r| *r = r.clamp(range.low, range.high));
    }
    if !penalty.is_empty() {
        tropism_core::CoreError::check_size("penalty", sums.len(), penalty.len())?;
        tropism_core::CoreError::check_finite("penalty", penalty)?;
        sums.iter_mut().zip(penalty).for_each(|(r, p)| *r -= p);
    }
    let against_others = |row: usize| {
        let members = groups.members()[groups.of(row)].iter().filter(|&&r| r != row && !sums[r].is_nan());
        let others: Vec<f64> = members.map(|&r| sums[r]).collect();
        // The difference to each other reward is exactly 0 where it is equal.
        others.iter().map(|r| sums[row] - r).sum::<f64>() / others.len().max(1) as f64
    };
    let mut found = Advantages::of(&sums, groups, config.zero_variance, against_others)?;
    if config.normalize_advantages {
        let scored = || (0..sums.len()).filter(|&row| !sums[row].is_nan());
        let batch = Moments::of(scored().map(|row| found.values[row]));
        let scale = batch.deviation(1.0) + config.epsilon;
        scored().for_each(|row| found.values[row] = divided(found.values[row] - batch.mean, scale));
    }
    Ok(found)
}
