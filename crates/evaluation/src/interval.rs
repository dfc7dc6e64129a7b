//! Estimates with 95 % intervals.
use crate::error::{EvaluationError, finite, same_length};
use crate::student::{Z975, t975};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A value with the ends of its 95 % interval and the number of independent observations.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Estimate {
    /// the estimate
    pub value: f64,
    /// lower end
    pub low: f64,
    /// upper end
    pub high: f64,
    /// independent observations (prompts, where several answers share one)
    pub n: usize,
}

/// Share of successes with Wilson's interval, which stays inside 0..1 and is honest for shares near either end.
///
/// # Errors
/// No trials, more successes than trials.
///
/// # Source
/// Wilson 1927.
pub fn wilson(successes: usize, n: usize) -> Result<Estimate, EvaluationError> {
    if n == 0 {
        return Err(EvaluationError::Empty { what: "trials" });
    }
    if successes > n {
        return Err(EvaluationError::Range { what: "successes", value: successes, expected: "there are fewer trials" });
    }
    Ok(score_interval(successes as f64 / n as f64, n))
}

/// Wilson's interval around a share that may count ties by half.
pub(crate) fn score_interval(p: f64, n: usize) -> Estimate {
    let (count, z2) = (n as f64, Z975 * Z975);
    let centre = (p + z2 / (2.0 * count)) / (1.0 + z2 / count);
    let half = Z975 / (1.0 + z2 / count) * (p * (1.0 - p) / count + z2 / (4.0 * count * count)).sqrt();
    Estimate { value: p, low: (centre - half).clamp(0.0, p), high: (centre + half).clamp(p, 1.0), n }
}

/// Mean with Student's t interval. One observation says nothing about its spread: the interval is then the value itself,
/// and `n` tells.
///
/// # Errors
/// An empty slice, a value that is not finite.
pub fn mean_interval(values: &[f64]) -> Result<Estimate, EvaluationError> {
    finite("values", values)?;
    let n = values.len();
    let mean = values.iter().sum::<f64>() / n as f64;
    if n == 1 {
        return Ok(Estimate { value: mean, low: mean, high: mean, n });
    }
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1) as f64;
    let half = t975(n - 1) * (variance / n as f64).sqrt();
    Ok(Estimate { value: mean, low: mean - half, high: mean + half, n })
}

/// Mean over clusters of the clusters' means: observations of one prompt count as one. `n` is the number of clusters.
///
/// # Errors
/// As [`mean_interval`]; slices of different lengths.
pub fn clustered_mean(values: &[f64], clusters: &[usize]) -> Result<Estimate, EvaluationError> {
    finite("values", values)?;
    same_length("clusters", values.len(), clusters.len())?;
    let mut sums: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
    for (v, c) in values.iter().zip(clusters) {
        let s = sums.entry(*c).or_default();
        *s = (s.0 + v, s.1 + 1.0);
    }
    mean_interval(&sums.values().map(|(sum, n)| sum / n).collect::<Vec<_>>())
}

/// Percentile bootstrap of any statistic.
///
/// # Errors
/// An empty slice, a value that is not finite, fewer than 100 resamples, a statistic that is not finite.
pub fn bootstrap(
    values: &[f64],
    statistic: impl Fn(&[f64]) -> f64,
    resamples: usize,
    seed: u64,
) -> Result<Estimate, EvaluationError> {
    finite("values", values)?;
    if resamples < 100 {
        return Err(EvaluationError::Range { what: "resamples", value: resamples, expected: "take at least 100" });
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let n = values.len();
    let mut draw = || values[((rng.next_u64() as u128 * n as u128) >> 64) as usize];
    let mut found: Vec<f64> = (0..resamples).map(|_| statistic(&(0..n).map(|_| draw()).collect::<Vec<_>>())).collect();
    finite("statistic", &found)?;
    found.sort_by(f64::total_cmp);
    let at = |share: f64| found[((resamples - 1) as f64 * share).round() as usize];
    Ok(Estimate { value: statistic(values), low: at(0.025), high: at(0.975), n })
}
