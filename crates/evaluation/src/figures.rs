//! Figures and refusals that the diagnostics share.
use crate::error::EvaluationError;
use crate::stats::{Figure, Method, clustered_mean, mean_interval, wilson};

const Z975: f64 = 1.959_963_984_540_054;

/// Share of hits with Wilson's interval.
pub(crate) fn share(what: &'static str, hits: usize, n: usize) -> Result<Figure, EvaluationError> {
    if n == 0 { Err(EvaluationError::Empty { what }) } else { wilson(hits, n) }
}

/// Mean with Student's interval.
pub(crate) fn mean(what: &'static str, values: &[f64]) -> Result<Figure, EvaluationError> {
    crate::error::finite(what, values)?;
    mean_interval(values)
}

/// Mean of the clusters' means.
pub(crate) fn clustered(what: &'static str, values: &[f64], clusters: &[usize]) -> Result<Figure, EvaluationError> {
    crate::error::finite(what, values)?;
    clustered_mean(values, clusters)
}

/// Unweighted mean of independent groups. Each group's standard error is half its interval over the normal quantile, so that
/// groups with shares of 0 or 1 do not count as certain.
pub(crate) fn mean_of_groups(groups: &[Figure]) -> Figure {
    let n = groups.len() as f64;
    let value = groups.iter().map(|g| g.value).sum::<f64>() / n;
    let half = groups.iter().map(|g| (0.5 * (g.high - g.low)).powi(2)).sum::<f64>().sqrt() / n;
    let rows = groups.iter().map(|g| g.n).sum();
    Figure { value, low: value - half, high: value + half, n: rows, method: Method::Delta { level: 0.95 } }.clamped(0.0, 1.0)
}

/// A correlation with the interval `tanh(artanh r ± z √(variance/(n − lost)))`; all of −1 … 1 for `n ≤ lost`.
pub(crate) fn fisher(r: f64, n: usize, variance: f64, lost: f64) -> Figure {
    let free = n as f64 - lost;
    let half = if free > 0.0 { Z975 * (variance / free).sqrt() } else { f64::INFINITY };
    let end = |sign: f64| if half.is_finite() { (r.atanh() + sign * half).tanh() } else { sign };
    Figure { value: r, low: end(-1.0).min(r), high: end(1.0).max(r), n, method: Method::FisherZ { level: 0.95 } }
}

/// An entry outside its range.
pub(crate) fn outside(what: &'static str, index: usize, value: f64, expected: &str) -> EvaluationError {
    EvaluationError::Row { what, index, problem: format!("{value} is out of range; {expected}") }
}

/// Something that does not vary where it has to.
pub(crate) fn constant(what: &'static str) -> EvaluationError {
    EvaluationError::Undefined { what, problem: "it is the same everywhere, which leaves this figure undefined".to_owned() }
}

/// Every value must be positive and finite.
pub(crate) fn positive(what: &'static str, values: &[f64]) -> Result<(), EvaluationError> {
    in_range(what, values, |v| v > 0.0 && v.is_finite(), "it must be positive and finite")
}

/// Every value must be a share.
pub(crate) fn shares(what: &'static str, values: &[f64]) -> Result<(), EvaluationError> {
    in_range(what, values, |v| (0.0..=1.0).contains(&v), "a share in 0..=1 is expected")
}

fn in_range(what: &'static str, values: &[f64], fits: impl Fn(f64) -> bool, expected: &str) -> Result<(), EvaluationError> {
    if values.is_empty() {
        return Err(EvaluationError::Empty { what });
    }
    match values.iter().position(|v| !fits(*v)) {
        Some(index) => Err(outside(what, index, values[index], expected)),
        None => Ok(()),
    }
}
