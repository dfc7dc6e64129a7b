//! Normalised discounted cumulative gain.
use crate::error::{EvaluationError, finite, same_length};
use crate::figures::{mean, outside};
use crate::stats::Figure;

/// What an item of relevance `r` is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Gain {
    /// `2ʳ − 1`
    #[default]
    Exponential,
    /// `r`, as scikit-learn
    Linear,
}

impl Gain {
    fn of(self, relevance: f64) -> f64 {
        match self {
            Gain::Exponential => relevance.exp2() - 1.0,
            Gain::Linear => relevance,
        }
    }
}

/// Discounted cumulative gain of the first `k` places: `Σ gain / log2(place + 1)`, places counted from 1. `relevance` stands
/// in the order of the ranking.
pub fn dcg(relevance: &[f64], k: usize, gain: Gain) -> f64 {
    relevance.iter().take(k).enumerate().map(|(i, &r)| gain.of(r) / (i as f64 + 2.0).log2()).sum()
}

/// NDCG of the first `k` places of a ranking: its DCG over that of the best order of the same items, 0 where nothing is
/// relevant.
///
/// # Errors
/// No items, relevance that is negative or not finite, `k` of 0.
///
/// # Source
/// Järvelin and Kekäläinen 2002; exponential gain by Burges et al. 2005.
///
/// ```
/// use tropism_evaluation::ranking::{Gain, ndcg};
///
/// let found = ndcg(&[3.0, 2.0, 3.0, 0.0, 1.0, 2.0], 3, Gain::Exponential)?;
/// assert!((found - 0.959454).abs() < 1e-6);
/// # Ok::<(), tropism_evaluation::EvaluationError>(())
/// ```
pub fn ndcg(relevance: &[f64], k: usize, gain: Gain) -> Result<f64, EvaluationError> {
    let ideal = ideal(relevance, k, gain)?;
    Ok(if ideal == 0.0 { 0.0 } else { dcg(relevance, k, gain) / ideal })
}

/// NDCG of the order in which `scores` put items. Items with equal scores share the mean gain of their places, as if ties
/// were broken at random (McSherry and Najork 2008), so a constant scorer gains nothing from the order of its input.
///
/// # Errors
/// As [`ndcg`]; scores that are not finite or of another number.
pub fn ndcg_by_scores(relevance: &[f64], scores: &[f64], k: usize, gain: Gain) -> Result<f64, EvaluationError> {
    finite("scores", scores)?;
    same_length("scores", relevance.len(), scores.len())?;
    let ideal = ideal(relevance, k, gain)?;
    if ideal == 0.0 {
        return Ok(0.0);
    }
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| (scores[b] + 0.0).total_cmp(&(scores[a] + 0.0)));
    let (mut sum, mut place) = (0.0, 0);
    for tied in order.chunk_by(|&a, &b| scores[a] == scores[b]) {
        let shared = tied.iter().map(|&i| gain.of(relevance[i])).sum::<f64>() / tied.len() as f64;
        let places = place..place + tied.len();
        sum += shared * places.filter(|&p| p < k).map(|p| 1.0 / (p as f64 + 2.0).log2()).sum::<f64>();
        place += tied.len();
    }
    Ok(sum / ideal)
}

/// Mean of NDCGs over queries.
///
/// # Errors
/// No queries, values that are not finite.
pub fn mean_ndcg(queries: &[f64]) -> Result<Figure, EvaluationError> {
    mean("queries", queries)
}

fn ideal(relevance: &[f64], k: usize, gain: Gain) -> Result<f64, EvaluationError> {
    finite("relevance", relevance)?;
    if let Some(index) = relevance.iter().position(|&r| r < 0.0) {
        return Err(outside("relevance", index, relevance[index], "relevance starts at 0"));
    }
    if k == 0 {
        return Err(EvaluationError::Range { what: "k", value: 0, expected: "take at least 1" });
    }
    let mut best = relevance.to_vec();
    best.sort_by(|a, b| b.total_cmp(a));
    Ok(dcg(&best, k, gain))
}
