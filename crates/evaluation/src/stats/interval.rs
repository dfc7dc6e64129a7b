//! Intervals of shares and means.
use super::figure::{Figure, Method};
use super::{normal, student};
use crate::error::{EvaluationError, finite, level_in_range, same_length};
use std::collections::BTreeMap;

const LEVEL: f64 = 0.95;

/// Share of successes with Wilson's 95 % interval, which stays inside 0..1 and is honest for shares near either end.
///
/// # Errors
/// No trials, more successes than trials.
///
/// # Source
/// Wilson 1927.
pub fn wilson(successes: usize, n: usize) -> Result<Figure, EvaluationError> {
    wilson_at(successes, n, LEVEL)
}

/// [`wilson`] at another level: with `p = successes / n` and `z` the two-sided normal quantile, centre
/// `(p + z²/2n) / (1 + z²/n)`, half width `z √(p(1 − p)/n + z²/4n²) / (1 + z²/n)`.
///
/// # Errors
/// As [`wilson`]; a level outside 0..1.
pub fn wilson_at(successes: usize, n: usize, level: f64) -> Result<Figure, EvaluationError> {
    if n == 0 {
        return Err(EvaluationError::Empty { what: "trials" });
    }
    if successes > n {
        return Err(EvaluationError::Range { what: "successes", value: successes, expected: "there are fewer trials" });
    }
    level_in_range(level)?;
    Ok(share_interval(successes as f64 / n as f64, n, level))
}

/// Wilson's interval around a share that may count ties by half, which makes it a little too wide.
pub(crate) fn share_interval(p: f64, n: usize, level: f64) -> Figure {
    let (count, z) = (n as f64, normal::two_sided(level));
    let z2 = z * z;
    let centre = (p + z2 / (2.0 * count)) / (1.0 + z2 / count);
    let half = z / (1.0 + z2 / count) * (p * (1.0 - p) / count + z2 / (4.0 * count * count)).sqrt();
    let (low, high) = ((centre - half).clamp(0.0, p), (centre + half).clamp(p, 1.0));
    Figure { value: p, low, high, n, method: Method::Wilson { level } }
}

/// Mean with Student's 95 % interval, see [`t_interval`].
///
/// # Errors
/// An empty slice, a value that is not finite.
pub fn mean_interval(values: &[f64]) -> Result<Figure, EvaluationError> {
    t_interval(values, LEVEL)
}

/// Mean ± `t · sd / √n`, with sd of divisor n − 1 and the quantile of Student's distribution with n − 1 degrees of freedom.
/// One observation says nothing about its spread: the interval is then the value itself, by [`Method::None`].
///
/// # Errors
/// As [`mean_interval`]; a level outside 0..1.
pub fn t_interval(values: &[f64], level: f64) -> Result<Figure, EvaluationError> {
    around_mean(values, level, |df| student::two_sided(level, df), Method::StudentT { level })
}

/// [`t_interval`] with the normal quantile: mean ± `z · sd / √n`. Too narrow for few observations.
///
/// # Errors
/// As [`t_interval`].
pub fn normal_interval(values: &[f64], level: f64) -> Result<Figure, EvaluationError> {
    around_mean(values, level, |_| normal::two_sided(level), Method::Normal { level })
}

fn around_mean(
    values: &[f64],
    level: f64,
    quantile: impl Fn(usize) -> f64,
    method: Method,
) -> Result<Figure, EvaluationError> {
    finite("values", values)?;
    level_in_range(level)?;
    let n = values.len();
    let value = super::mean(values)?;
    if n == 1 {
        return Ok(Figure::exact(value, n));
    }
    let half = quantile(n - 1) * super::standard_error(values)?;
    Ok(Figure { value, low: value - half, high: value + half, n, method })
}

/// Mean over clusters of the clusters' means: observations of one prompt count as one. `n` is the number of clusters.
///
/// # Errors
/// As [`mean_interval`]; slices of different lengths.
pub fn clustered_mean(values: &[f64], clusters: &[usize]) -> Result<Figure, EvaluationError> {
    mean_interval(&cluster_means(values, clusters)?)
}

/// Means of the values of each cluster, in ascending order of cluster.
pub(crate) fn cluster_means(values: &[f64], clusters: &[usize]) -> Result<Vec<f64>, EvaluationError> {
    finite("values", values)?;
    same_length("clusters", values.len(), clusters.len())?;
    let mut sums: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
    for (v, c) in values.iter().zip(clusters) {
        let s = sums.entry(*c).or_default();
        *s = (s.0 + v, s.1 + 1.0);
    }
    Ok(sums.values().map(|(sum, n)| sum / n).collect())
}
