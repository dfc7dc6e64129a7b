//! Whitening over the values that count.

use serde::{Deserialize, Serialize};
use tropism_core::CoreError;

use crate::PolicyGradientError;

/// Which variance values are divided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Variance {
    /// Over `n − 1`, as TRL and verl do; there must be two values.
    #[default]
    Unbiased,
    /// Over `n`, as OpenRLHF does.
    Population,
}

/// What whitening does with the mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shift {
    /// It is taken off.
    ToZero,
    /// It stays: only the spread is scaled, for rewards.
    Keep,
}

/// Values that count, with mean 0 (or the old mean) and variance 1; all others become 0.
///
/// ```text
/// (x − mean) / sd   [+ mean]        over the cells that `mask` selects
/// sd = sqrt(var + 1e-8) of the unbiased variance, sqrt(max(var, 1e-8)) of the population's
/// ```
///
/// # Errors
/// [`CoreError::SizeMismatch`]; [`CoreError::NotFinite`] for a value that counts; [`PolicyGradientError::Entry`] when there
/// are too few values for the variance.
///
/// ```
/// use tropism_policy_gradient::{Shift, Variance, whiten};
///
/// let white = whiten(&[1.0, 3.0, f64::NAN], &[true, true, false], Variance::Population, Shift::ToZero)?;
/// assert_eq!(white, [-1.0, 1.0, 0.0]);
/// # Ok::<(), tropism_policy_gradient::PolicyGradientError>(())
/// ```
pub fn whiten(values: &[f64], mask: &[bool], variance: Variance, shift: Shift) -> Result<Vec<f64>, PolicyGradientError> {
    CoreError::check_size("mask", values.len(), mask.len())?;
    let counted: Vec<f64> = values.iter().zip(mask).filter(|(_, m)| **m).map(|(v, _)| *v).collect();
    CoreError::check_finite("values to whiten", &counted)?;
    let n = counted.len() as f64;
    let least = if variance == Variance::Unbiased { 2.0 } else { 1.0 };
    PolicyGradientError::check_entries(
        "the number of values to whiten",
        &[n],
        |n| n >= least,
        "large enough for a variance",
    )?;
    let mean = counted.iter().sum::<f64>() / n;
    let squares: f64 = counted.iter().map(|v| (v - mean) * (v - mean)).sum();
    let scale = match variance {
        Variance::Unbiased => (squares / (n - 1.0) + 1e-8).sqrt(),
        Variance::Population => (squares / n).max(1e-8).sqrt(),
    };
    let back = if shift == Shift::Keep { mean } else { 0.0 };
    Ok(values.iter().zip(mask).map(|(v, &m)| if m { (v - mean) / scale + back } else { 0.0 }).collect())
}
