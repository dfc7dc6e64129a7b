//! Comparisons of two models.
use crate::error::{EvaluationError, share};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One comparison.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Battle {
    /// one model, by number
    pub a: usize,
    /// the other
    pub b: usize,
    /// what `a` got: 1 won, 0.5 tied, 0 lost, between: a judge's probability
    pub score: f64,
}

/// Rows of a fit: pairs, scores, and features of each row (`columns` each).
pub(super) struct Rows {
    pub(super) pairs: Vec<[usize; 2]>,
    pub(super) scores: Vec<f64>,
    pub(super) features: Vec<f64>,
    pub(super) columns: usize,
    pub(super) models: usize,
}

pub(super) fn check_battles(models: usize, battles: &[Battle]) -> Result<(), EvaluationError> {
    if battles.is_empty() {
        return Err(EvaluationError::Empty { what: "battles" });
    }
    for (index, b) in battles.iter().enumerate() {
        share("score", b.score)?;
        let problem = if b.a == b.b {
            format!("model {} fights itself", b.a)
        } else if b.a.max(b.b) >= models {
            format!("model {} is not among {models}", b.a.max(b.b))
        } else {
            continue;
        };
        return Err(EvaluationError::Row { what: "battles", index, problem });
    }
    Ok(())
}

/// Distinct (pair, outcome) with their counts; the smaller model comes first.
pub(super) fn tally(models: usize, battles: &[Battle]) -> (Rows, Vec<usize>) {
    let mut counts: BTreeMap<(usize, usize, u64), usize> = BTreeMap::new();
    for b in battles {
        let (first, second, score) = if b.a < b.b { (b.a, b.b, b.score) } else { (b.b, b.a, 1.0 - b.score) };
        // scores are not negative, so their bits are in order; + 0.0 makes one zero of two
        *counts.entry((first, second, (score + 0.0).to_bits())).or_default() += 1;
    }
    let pairs = counts.keys().map(|(a, b, _)| [*a, *b]).collect();
    let scores = counts.keys().map(|(_, _, s)| f64::from_bits(*s)).collect();
    (Rows { pairs, scores, features: Vec::new(), columns: 0, models }, counts.into_values().collect())
}
