//! Mean reciprocal rank.
use crate::error::EvaluationError;
use crate::figures::mean;
use crate::stats::Figure;

/// Place of the first relevant item of a ranking, counted from 1.
pub fn first_relevant(relevant: &[bool]) -> Option<usize> {
    relevant.iter().position(|&r| r).map(|i| i + 1)
}

/// Mean of 1 over the place of the first relevant item; a query without one counts as 0.
///
/// # Errors
/// No queries; a place of 0: places are counted from 1.
pub fn mrr(places: &[Option<usize>]) -> Result<Figure, EvaluationError> {
    if places.contains(&Some(0)) {
        return Err(EvaluationError::Range { what: "a place", value: 0, expected: "places are counted from 1" });
    }
    mean("queries", &places.iter().map(|p| p.map_or(0.0, |p| 1.0 / p as f64)).collect::<Vec<_>>())
}
