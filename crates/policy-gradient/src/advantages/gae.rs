//! Generalised advantage estimation.

use tropism_core::CoreError;
use tropism_core::options::share;

use crate::PolicyGradientError;
use crate::options::options;

options! {
    /// Options of [`gae()`].
    Gae = "gae" {
        /// Discount per token, from 0 to 1; 1 by default.
        gamma: f64 = 1.0, with_gamma, share;
        /// How far credit reaches, from 0 (one step) to 1 (the whole return); 0.95 by default.
        lambda: f64 = 0.95, with_lambda, share;
    }
}

/// Advantages and returns of tokens, row by row; 0 in cells that do not count.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Returns {
    /// Advantages, not whitened.
    pub advantages: Vec<f64>,
    /// What the critic should predict.
    pub returns: Vec<f64>,
}

/// Advantages of tokens from rewards and values per token.
///
/// Backwards over the cells of a row that `mask` selects, the value after the last being 0:
///
/// ```text
/// δ_t = r_t + γ V_{t+1} − V_t        A_t = δ_t + γ λ A_{t+1}        R_t = A_t + V_t
/// ```
///
/// Cells outside the mask are skipped, so that an agent's trace runs from one of its tokens to the next across a tool's. All
/// arguments are `[rows, columns]` row by row. Whiten advantages afterwards ([`whiten`](crate::whiten)), not returns.
///
/// Source: Schulman et al. 2015, arXiv 1506.02438.
///
/// # Errors
/// [`PolicyGradientError::Option`]; [`CoreError::SizeMismatch`]; [`CoreError::NotFinite`] for a number of a cell that
/// counts.
///
/// ```
/// use tropism_policy_gradient::{Gae, gae};
///
/// let config = Gae::default().with_gamma(0.5).with_lambda(0.5);
/// let found = gae(&[0.0, 9.0, 1.0], &[0.25, 9.0, 0.5], &[true, false, true], 3, &config)?;
/// assert_eq!(found.advantages, [0.25 - 0.25 + 0.25 * 0.5, 0.0, 0.5]);
/// assert_eq!(found.returns, [0.375, 0.0, 1.0]);
/// # Ok::<(), tropism_policy_gradient::PolicyGradientError>(())
/// ```
pub fn gae(
    rewards: &[f64],
    values: &[f64],
    mask: &[bool],
    columns: usize,
    config: &Gae,
) -> Result<Returns, PolicyGradientError> {
    config.check()?;
    let rows = rows_of(mask, columns)?;
    for (what, numbers) in [("token rewards", rewards), ("values", values)] {
        check_cells(what, numbers, mask)?;
    }
    let mut found = Returns { advantages: vec![0.0; mask.len()], returns: vec![0.0; mask.len()] };
    for row in 0..rows {
        let (mut next_value, mut next) = (0.0, 0.0);
        for i in (row * columns..(row + 1) * columns).rev().filter(|&i| mask[i]) {
            next = rewards[i] + config.gamma * next_value - values[i] + config.gamma * config.lambda * next;
            next_value = values[i];
            (found.advantages[i], found.returns[i]) = (next, next + next_value);
        }
    }
    Ok(found)
}

/// How many rows a table of `columns` has.
pub(crate) fn rows_of(mask: &[bool], columns: usize) -> Result<usize, PolicyGradientError> {
    if columns == 0 || mask.is_empty() {
        return Err(CoreError::Empty { what: "tokens" }.into());
    }
    let rows = mask.len().div_ceil(columns);
    CoreError::check_size("mask", rows * columns, mask.len())?;
    Ok(rows)
}

/// Fails unless there is a finite number for each cell that counts.
pub(crate) fn check_cells(what: &'static str, numbers: &[f64], mask: &[bool]) -> Result<(), PolicyGradientError> {
    CoreError::check_size(what, mask.len(), numbers.len())?;
    match numbers.iter().zip(mask).position(|(x, &m)| m && !x.is_finite()) {
        None => Ok(()),
        Some(entry) => Err(PolicyGradientError::Entry {
            what,
            entry,
            value: numbers[entry],
            requirement: "finite where the mask selects it",
        }),
    }
}
