//! Pearson's and Spearman's correlations.
use crate::error::{EvaluationError, finite, same_length};
use crate::figures::{constant, fisher};
use crate::stats::Figure;

/// A correlation is a figure between −1 and 1.
pub type Correlation = Figure;

/// Pearson's correlation. The interval is Fisher's: `tanh(artanh r ± 1.96/√(n−3))`, all of −1 … 1 for three pairs and fewer.
///
/// # Errors
/// Fewer than two pairs, slices of unequal length, values that are not finite, a side that is constant.
pub fn pearson(x: &[f64], y: &[f64]) -> Result<Correlation, EvaluationError> {
    check(x, y)?;
    Ok(fisher(product_moment(x, y)?, x.len(), 1.0, 3.0))
}

/// Spearman's rank correlation: Pearson's of the ranks, ties sharing their middle rank. The interval is Fisher's with the
/// variance `(1 + ρ²/2)/(n − 3)` of Bonett and Wright 2000.
///
/// # Errors
/// As [`pearson`].
///
/// ```
/// use tropism_evaluation::ranking::spearman;
///
/// let rho = spearman(&[1.0, 2.0, 3.0, 4.0, 5.0], &[3.0, 1.0, 2.0, 5.0, 4.0])?;
/// assert!((rho.value - 0.6).abs() < 1e-12);
/// # Ok::<(), tropism_evaluation::EvaluationError>(())
/// ```
pub fn spearman(x: &[f64], y: &[f64]) -> Result<Correlation, EvaluationError> {
    check(x, y)?;
    let rho = product_moment(&ranks(x), &ranks(y))?;
    Ok(fisher(rho, x.len(), 1.0 + rho * rho / 2.0, 3.0))
}

pub(super) fn check(x: &[f64], y: &[f64]) -> Result<(), EvaluationError> {
    finite("x", x)?;
    finite("y", y)?;
    same_length("y", x.len(), y.len())?;
    if x.len() < 2 {
        return Err(EvaluationError::Range { what: "pairs", value: x.len(), expected: "a correlation needs at least 2" });
    }
    for (what, values) in [("x", x), ("y", y)] {
        if values.iter().all(|v| *v == values[0]) {
            return Err(constant(what));
        }
    }
    Ok(())
}

fn product_moment(x: &[f64], y: &[f64]) -> Result<f64, EvaluationError> {
    let centred = |values: &[f64]| {
        // scaled first, so that squares of very large or small values stay numbers
        let scale = values.iter().fold(0.0f64, |s, v| s.max(v.abs()));
        let mean = values.iter().map(|v| v / scale).sum::<f64>() / values.len() as f64;
        values.iter().map(|v| v / scale - mean).collect::<Vec<_>>()
    };
    let (x, y) = (centred(x), centred(y));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let r = dot(&x, &y) / (dot(&x, &x).sqrt() * dot(&y, &y).sqrt());
    if r.is_finite() { Ok(r.clamp(-1.0, 1.0)) } else { Err(constant("x or y")) }
}

/// Ranks from 1, equal values sharing their middle rank.
pub(crate) fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    // adding 0 makes −0 and 0 neighbours
    order.sort_by(|&a, &b| (values[a] + 0.0).total_cmp(&(values[b] + 0.0)));
    let (mut ranks, mut before) = (vec![0.0; values.len()], 0);
    for tied in order.chunk_by(|&a, &b| values[a] == values[b]) {
        tied.iter().for_each(|&i| ranks[i] = before as f64 + (tied.len() + 1) as f64 / 2.0);
        before += tied.len();
    }
    ranks
}
