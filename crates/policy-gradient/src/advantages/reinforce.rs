//! REINFORCE++: reward-to-go, whitened over the batch.

use tropism_core::options::{any, share};

use super::gae::{check_cells, rows_of};
use super::whiten::{Shift, Variance, whiten};
use crate::PolicyGradientError;
use crate::options::options;

options! {
    /// Options of [`reinforce()`].
    Reinforce = "reinforce_plus_plus" {
        /// Discount per token, from 0 to 1; 1 by default.
        gamma: f64 = 1.0, with_gamma, share;
        /// The variance of the whitening.
        variance: Variance = Variance::Unbiased, with_variance, any;
    }
}

/// REINFORCE++ advantages: the discounted sum of the rewards from a token on, whitened over all tokens of the batch.
///
/// ```text
/// G_t = r_t + γ G_{t+1}        A = (G − mean) / sd        over the cells that count, sd as in [`whiten`](crate::whiten)
/// ```
///
/// `rewards` are those of [`token_rewards`](crate::token_rewards), `[rows, columns]` row by row like `mask`. The loss is
/// [`bnpo()`](crate::bnpo()).
///
/// Source: Hu 2025, arXiv 2501.03262; verl's estimator of that name.
///
/// # Errors
/// [`PolicyGradientError::Option`]; [`PolicyGradientError::Core`]; [`PolicyGradientError::Entry`] for a reward that is not
/// finite or too few tokens.
///
/// ```
/// use tropism_policy_gradient::{Reinforce, Variance, reinforce};
///
/// let config = Reinforce::default().with_variance(Variance::Population);
/// let found = reinforce(&[1.0, 1.0, 0.0, 0.0], &[true, true, true, false], 2, &config)?;
/// assert!((found[0] - 1.5_f64.sqrt()).abs() < 1e-7 && found[1].abs() < 1e-7 && found[3] == 0.0);
/// # Ok::<(), tropism_policy_gradient::PolicyGradientError>(())
/// ```
pub fn reinforce(
    rewards: &[f64],
    mask: &[bool],
    columns: usize,
    config: &Reinforce,
) -> Result<Vec<f64>, PolicyGradientError> {
    config.check()?;
    let rows = rows_of(mask, columns)?;
    check_cells("token rewards", rewards, mask)?;
    let mut returns = vec![0.0; mask.len()];
    for row in 0..rows {
        let mut to_go = 0.0;
        for i in (row * columns..(row + 1) * columns).rev().filter(|&i| mask[i]) {
            to_go = rewards[i] + config.gamma * to_go;
            returns[i] = to_go;
        }
    }
    whiten(&returns, mask, config.variance, Shift::ToZero)
}
