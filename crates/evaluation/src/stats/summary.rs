//! Mean, spread and quantiles of a slice.
use crate::error::{EvaluationError, finite, share};

/// Arithmetic mean.
///
/// # Errors
/// An empty slice, a value that is not finite.
pub fn mean(values: &[f64]) -> Result<f64, EvaluationError> {
    finite("values", values)?;
    Ok(values.iter().sum::<f64>() / values.len() as f64)
}

/// Sample standard deviation (divisor n − 1); 0 for a single value.
///
/// # Errors
/// As [`mean`].
pub fn sample_sd(values: &[f64]) -> Result<f64, EvaluationError> {
    let centre = mean(values)?;
    let squares: f64 = values.iter().map(|v| (v - centre).powi(2)).sum();
    Ok((squares / (values.len() - 1).max(1) as f64).sqrt())
}

/// Standard error of the mean, `sd / √n` with divisor n − 1 in sd; 0 for a single value.
///
/// # Errors
/// As [`mean`].
pub fn standard_error(values: &[f64]) -> Result<f64, EvaluationError> {
    Ok(sample_sd(values)? / (values.len() as f64).sqrt())
}

/// Quantile of type 7 (Hyndman and Fan 1996; the default of R and numpy): linear between order statistics, at place
/// `(n − 1) · q`.
///
/// # Errors
/// As [`mean`]; `q` outside 0..=1.
pub fn quantile(values: &[f64], q: f64) -> Result<f64, EvaluationError> {
    finite("values", values)?;
    share("q", q)?;
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    Ok(quantile_of_sorted(&sorted, q))
}

/// [`quantile`] of values in ascending order; there must be one, and `q` must be in 0..=1.
pub(crate) fn quantile_of_sorted(sorted: &[f64], q: f64) -> f64 {
    let place = (sorted.len() - 1) as f64 * q;
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    let part = place - below as f64;
    if part == 0.0 { sorted[below] } else { sorted[below] + part * (sorted[above] - sorted[below]) }
}
