//! GRPO's advantages: rewards against the mean of their group.

use serde::{Deserialize, Serialize};
use tropism_core::options::{any, not_negative};

use super::rewards::{Advantages, Moments, RewardTable, ZeroVariance};
use crate::options::options;
use crate::{Groups, PolicyGradientError};

/// Which standard deviation rewards are divided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deviation {
    /// That of a sample, over `n − 1` (Bessel).
    #[default]
    Sample,
    /// That of a population, over `n`.
    Population,
}

impl Deviation {
    /// What is taken from `n`.
    pub(crate) fn less(self) -> f64 {
        match self {
            Self::Sample => 1.0,
            Self::Population => 0.0,
        }
    }
}

/// Over what the deviation is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScaleRewards {
    /// The completion's group.
    #[default]
    Group,
    /// All rewards of the batch.
    Batch,
    /// Rewards are not divided (Dr. GRPO).
    None,
}

options! {
    /// Options of [`group_normalized()`].
    GroupNormalized = "group_normalized" {
        /// Over what the deviation is taken; the group by default.
        scale_rewards: ScaleRewards = ScaleRewards::Group, with_scale_rewards, any;
        /// Sample or population; a sample by default.
        deviation: Deviation = Deviation::Sample, with_deviation, any;
        /// What is added to the deviation; 1e-4 by default, as in TRL.
        epsilon: f64 = 1e-4, with_epsilon, not_negative;
        /// What is done with groups of equal rewards.
        zero_variance: ZeroVariance = ZeroVariance::Zero, with_zero_variance, any;
    }
}

/// Rewards minus the mean of their group, over a standard deviation.
///
/// ```text
/// R_i = Σ_k w_k r_ik        A_i = (R_i − mean_group R) / (std R + ε)        std of the group, of the batch, or no division
/// ```
///
/// Only completions with a reward count in means and deviations. In a group of equal rewards, or of one, advantages are
/// exactly 0.
///
/// Source: Shao et al. 2024, arXiv 2402.03300; without deviation Liu et al. 2025, arXiv 2503.20783; TRL's GRPO trainer.
///
/// # Errors
/// [`PolicyGradientError::Option`]; [`PolicyGradientError::Core`] for another number of rows; [`PolicyGradientError::Group`]
/// for a group of equal rewards that is refused.
///
/// ```
/// use tropism_policy_gradient::{GroupNormalized, Groups, RewardTable, ScaleRewards, group_normalized};
///
/// let rewards = RewardTable::single(&[1.0, 0.0, 0.5, 0.0, 2.0, 2.0])?;
/// let config = GroupNormalized::default().with_scale_rewards(ScaleRewards::None);
/// let found = group_normalized(&rewards, &Groups::new(&[0, 0, 0, 0, 1, 1])?, &config)?;
/// assert_eq!(found.values, [0.625, -0.375, 0.125, -0.375, 0.0, 0.0]);
/// assert_eq!((found.zero_variance, found.frac_reward_zero_std()), (1, 0.5));
/// # Ok::<(), tropism_policy_gradient::PolicyGradientError>(())
/// ```
pub fn group_normalized(
    rewards: &RewardTable,
    groups: &Groups,
    config: &GroupNormalized,
) -> Result<Advantages, PolicyGradientError> {
    config.check()?;
    groups.check_rows(rewards.rows())?;
    let sums = rewards.sums();
    let moments = by_group(&sums, groups);
    let batch = Moments::of(sums.iter().copied());
    let scale = |group: usize| match config.scale_rewards {
        ScaleRewards::Group => moments[group].deviation(config.deviation.less()) + config.epsilon,
        ScaleRewards::Batch => batch.deviation(config.deviation.less()) + config.epsilon,
        ScaleRewards::None => 1.0,
    };
    Advantages::of(&sums, groups, config.zero_variance, |row| {
        let group = groups.of(row);
        divided(sums[row] - moments[group].mean, scale(group))
    })
}

/// Moments of each group.
pub(crate) fn by_group(rewards: &[f64], groups: &Groups) -> Vec<Moments> {
    groups.members().iter().map(|rows| Moments::of(rows.iter().map(|&row| rewards[row]))).collect()
}

/// A quotient that is 0 for 0 over anything.
pub(crate) fn divided(x: f64, by: f64) -> f64 {
    if x == 0.0 { 0.0 } else { x / by }
}
