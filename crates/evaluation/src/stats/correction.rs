//! Corrections of p-values for the number of tests.
use crate::error::{EvaluationError, finite, share};

/// p-values adjusted by Holm's step-down procedure, in the order given: reject those at most α and the chance of any false
/// rejection is at most α, whatever the dependence. With `p_(1) ≤ … ≤ p_(m)`: `max_{j ≤ i} min(1, (m − j + 1) p_(j))`.
///
/// # Errors
/// No p-value, one outside 0..=1.
///
/// # Source
/// Holm 1979.
pub fn holm(p: &[f64]) -> Result<Vec<f64>, EvaluationError> {
    let order = ascending(p)?;
    let mut adjusted = vec![0.0; p.len()];
    let mut largest = 0.0f64;
    for (rank, &i) in order.iter().enumerate() {
        largest = largest.max(((p.len() - rank) as f64 * p[i]).min(1.0));
        adjusted[i] = largest;
    }
    Ok(adjusted)
}

/// p-values adjusted by Benjamini and Hochberg's step-up procedure, in the order given: reject those at most q and the expected
/// share of false ones among the rejections is at most q, for independent or positively dependent tests.
/// `min_{j ≥ i} min(1, m p_(j) / j)`.
///
/// # Errors
/// As [`holm`].
///
/// # Source
/// Benjamini and Hochberg 1995.
pub fn benjamini_hochberg(p: &[f64]) -> Result<Vec<f64>, EvaluationError> {
    let order = ascending(p)?;
    let mut adjusted = vec![0.0; p.len()];
    let mut smallest = 1.0f64;
    for (rank, &i) in order.iter().enumerate().rev() {
        smallest = smallest.min(p.len() as f64 * p[i] / (rank + 1) as f64);
        adjusted[i] = smallest;
    }
    Ok(adjusted)
}

fn ascending(p: &[f64]) -> Result<Vec<usize>, EvaluationError> {
    finite("p-values", p)?;
    p.iter().try_for_each(|&p| share("p-value", p))?;
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    Ok(order)
}
