//! A mean and how sure it is.
use crate::DiffusionError;
use serde::{Deserialize, Serialize};

/// A figure with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// the figure
    pub value: f64,
    /// lower end
    pub low: f64,
    /// upper end
    pub high: f64,
    /// observations
    pub n: usize,
}

/// The mean of independent values with its 95 % interval, `mean ± t s/√n` with Student's t.
///
/// A single value says nothing about its spread: its interval is infinite.
///
/// # Errors
/// [`DiffusionError::Input`] without values, and for one that is not finite.
///
/// ```
/// use tropism_diffusion::figures::mean_interval;
///
/// let e = mean_interval(&[1.0, 2.0, 3.0, 4.0, 5.0])?;
/// assert!((e.value - 3.0).abs() < 1e-12 && (e.high - 4.963).abs() < 1e-3); // 2.776 · 1.581 / √5
/// # Ok::<(), tropism_diffusion::DiffusionError>(())
/// ```
pub fn mean_interval(values: &[f64]) -> Result<Estimate, DiffusionError> {
    let n = values.len();
    super::rows("mean", values, 1, 1)?;
    let mean = values.iter().sum::<f64>() / n as f64;
    let half = match n {
        1 => f64::INFINITY,
        _ => {
            let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
            student(n - 1) * (squares / (n - 1) as f64 / n as f64).sqrt()
        }
    };
    Ok(Estimate { value: mean, low: mean - half, high: mean + half, n })
}

/// Quantile of the standard normal that leaves 2.5 % above it.
pub(super) const Z: f64 = 1.959_963_984_540_054;

/// The 97.5 % quantile of Student's t: a table for few degrees of freedom, then the expansion of Cornish and Fisher.
fn student(freedom: usize) -> f64 {
    const FEW: [f64; 8] = [12.706_205, 4.302_653, 3.182_446, 2.776_445, 2.570_582, 2.446_912, 2.364_624, 2.306_004];
    if let Some(t) = FEW.get(freedom - 1) {
        return *t;
    }
    let (z, v) = (Z, freedom as f64);
    let z2 = z * z;
    z * (1.0
        + (z2 + 1.0) / (4.0 * v)
        + ((5.0 * z2 + 16.0) * z2 + 3.0) / (96.0 * v * v)
        + (((3.0 * z2 + 19.0) * z2 + 17.0) * z2 - 15.0) / (384.0 * v * v * v)
        + ((((79.0 * z2 + 776.0) * z2 + 1482.0) * z2 - 1920.0) * z2 - 945.0) / (92160.0 * v * v * v * v))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_the_tables() {
        for (freedom, t) in [(1, 12.7062), (8, 2.3060), (9, 2.2622), (10, 2.2281), (30, 2.0423), (120, 1.9799)] {
            assert!((student(freedom) - t).abs() < 2e-4, "{freedom}: {}", student(freedom));
        }
    }

    #[test]
    fn one_value_and_none() {
        let one = mean_interval(&[2.0]).unwrap();
        assert_eq!((one.value, one.low, one.n), (2.0, f64::NEG_INFINITY, 1));
        assert!(mean_interval(&[]).unwrap_err().to_string().contains("at least 1"));
        assert!(mean_interval(&[1.0, f64::NAN]).unwrap_err().to_string().contains("sample 1 holds NaN"));
    }
}
