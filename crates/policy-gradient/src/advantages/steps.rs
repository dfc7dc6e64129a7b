//! Step-level advantages: rewards of steps, normalised in the group, summed from each step on.

use tropism_core::options::{any, not_negative};

use super::gae::rows_of;
use super::group::{Deviation, divided};
use super::rewards::Moments;
use crate::options::options;
use crate::{Groups, PolicyGradientError};

options! {
    /// Options of [`step_normalized()`].
    Steps = "step_normalized" {
        /// Sample or population; a sample by default.
        deviation: Deviation = Deviation::Sample, with_deviation, any;
        /// What is added to the deviation; 1e-4 by default.
        epsilon: f64 = 1e-4, with_epsilon, not_negative;
    }
}

/// Advantages of tokens from rewards of steps.
///
/// `rewards` is `[rows, columns]` row by row: the reward of a step stands at its last token, NaN everywhere else. With all
/// step rewards of a group together:
///
/// ```text
/// z_s = (r_s − mean_group r) / (std_group r + ε)        A_t = Σ_{s ends at t or later} z_s
/// ```
///
/// A group of equal step rewards has advantages of exactly 0. Cells outside the mask get 0.
///
/// Source: process supervision of Shao et al. 2024, arXiv 2402.03300, section 4.1.3.
///
/// # Errors
/// [`PolicyGradientError::Option`]; [`PolicyGradientError::Core`] for sizes; [`PolicyGradientError::Entry`] for an infinite
/// reward, or one that stands outside the mask.
///
/// ```
/// use tropism_policy_gradient::{Deviation, Groups, Steps, step_normalized};
///
/// let none = f64::NAN;
/// let config = Steps::default().with_deviation(Deviation::Population).with_epsilon(0.0);
/// let rewards = [1.0, none, 0.0, none, 1.0, 0.0];
/// let found = step_normalized(&rewards, &[true; 6], 3, &Groups::new(&[0, 0])?, &config)?;
/// assert_eq!(found, [0.0, -1.0, -1.0, 0.0, 0.0, -1.0]);
/// # Ok::<(), tropism_policy_gradient::PolicyGradientError>(())
/// ```
pub fn step_normalized(
    rewards: &[f64],
    mask: &[bool],
    columns: usize,
    groups: &Groups,
    config: &Steps,
) -> Result<Vec<f64>, PolicyGradientError> {
    config.check()?;
    groups.check_rows(rows_of(mask, columns)?)?;
    tropism_core::CoreError::check_size("step rewards", mask.len(), rewards.len())?;
    let fits = |i: usize| rewards[i].is_nan() || (mask[i] && rewards[i].is_finite());
    if let Some(entry) = (0..rewards.len()).find(|&i| !fits(i)) {
        let requirement = "finite and at a counted token, or NaN";
        return Err(PolicyGradientError::Entry { what: "step rewards", entry, value: rewards[entry], requirement });
    }
    let mut found = vec![0.0; mask.len()];
    for members in groups.members() {
        let cells = members.iter().flat_map(|row| row * columns..(row + 1) * columns);
        let moments = Moments::of(cells.map(|i| rewards[i]));
        let scale = moments.deviation(config.deviation.less()) + config.epsilon;
        for row in members {
            let mut sum = 0.0;
            for i in (row * columns..(row + 1) * columns).rev() {
                if !rewards[i].is_nan() {
                    sum += divided(rewards[i] - moments.mean, scale);
                }
                found[i] = if mask[i] { sum } else { 0.0 };
            }
        }
    }
    Ok(found)
}
