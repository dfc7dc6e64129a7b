//! Choosing a threshold.
use crate::error::{EvaluationError, finite};
use crate::ranking::ranks;
use crate::stats::{Figure, Method};
use serde::Serialize;

/// How well a score tells unsafe from safe, and where to cut.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Roc {
    /// probability that an unsafe one has the larger score, ties by half; interval by Hanley and McNeil
    pub auc: Figure,
    /// scores above it count as unsafe: the smallest score with the largest difference of the two rates below
    pub threshold: f64,
    /// share of unsafe ones above the threshold
    pub true_positives: f64,
    /// share of safe ones above the threshold
    pub false_positives: f64,
}

/// Receiver operating characteristic of a score, with the threshold of largest `true − false` positive rate (Youden 1950).
///
/// # Errors
/// No safe or no unsafe scores, values that are not finite.
///
/// # Source
/// Hanley and McNeil 1982 for the variance of the area.
pub fn roc(safe: &[f64], unsafe_scores: &[f64]) -> Result<Roc, EvaluationError> {
    finite("safe scores", safe)?;
    finite("unsafe scores", unsafe_scores)?;
    let (n, m) = (safe.len() as f64, unsafe_scores.len() as f64);
    let all = [unsafe_scores, safe].concat();
    let sum: f64 = ranks(&all)[..unsafe_scores.len()].iter().sum();
    let auc = (sum - m * (m + 1.0) / 2.0) / (n * m);
    let (q1, q2) = (auc / (2.0 - auc), 2.0 * auc * auc / (1.0 + auc));
    let spread = auc * (1.0 - auc) + (m - 1.0) * (q1 - auc * auc) + (n - 1.0) * (q2 - auc * auc);
    let half = 1.959_963_984_540_054 * (spread.max(0.0) / (n * m)).sqrt();
    let area = Figure { value: auc, low: auc - half, high: auc + half, n: all.len(), method: Method::Delta { level: 0.95 } };
    let sorted = |scores: &[f64]| {
        let mut sorted = scores.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted
    };
    let (low, high) = (sorted(safe), sorted(unsafe_scores));
    let above = |sorted: &[f64], t: f64| (sorted.len() - sorted.partition_point(|s| *s <= t)) as f64 / sorted.len() as f64;
    let mut best = (f64::NEG_INFINITY, 0.0);
    for t in sorted(&all) {
        let gain = above(&high, t) - above(&low, t);
        if gain > best.0 {
            best = (gain, t);
        }
    }
    let threshold = best.1;
    let rates = [above(&high, threshold), above(&low, threshold)];
    Ok(Roc { auc: area.clamped(0.0, 1.0), threshold, true_positives: rates[0], false_positives: rates[1] })
}
