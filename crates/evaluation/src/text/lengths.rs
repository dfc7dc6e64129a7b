//! Lengths of answers, and whether they explain preferences.
use crate::error::{EvaluationError, finite, same_length};
use crate::figures::{mean, share};
use crate::ranking::{Correlation, pearson};
use crate::stats::{Figure, quantile, sample_sd};
use serde::Serialize;

/// Lengths of answers in tokens, or whatever unit they are given in.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LengthStats {
    /// mean
    pub mean: Figure,
    /// median
    pub median: f64,
    /// standard deviation (n − 1); 0 for one answer
    pub sd: f64,
    /// ninetieth percentile, interpolated
    pub p90: f64,
    /// share of answers at the largest length, if there is one
    pub truncated: Option<Figure>,
}

/// Statistics of lengths; `max_length` is the limit at which answers were cut.
///
/// # Errors
/// No lengths.
pub fn length_stats(lengths: &[usize], max_length: Option<usize>) -> Result<LengthStats, EvaluationError> {
    let values: Vec<f64> = lengths.iter().map(|&l| l as f64).collect();
    let centre = mean("lengths", &values)?;
    let cut = |limit: usize| share("lengths", lengths.iter().filter(|&&l| l >= limit).count(), lengths.len());
    Ok(LengthStats {
        median: quantile(&values, 0.5)?,
        p90: quantile(&values, 0.9)?,
        sd: sample_sd(&values)?,
        truncated: max_length.map(cut).transpose()?,
        mean: centre,
    })
}

/// How preferences and lengths go together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LengthBias {
    /// share of pairs with the longer answer chosen, equal lengths counted by half
    pub chosen_longer: Figure,
    /// chosen minus rejected length
    pub difference: Figure,
    /// correlation of that difference with the reward margin, where margins are given
    pub margin_correlation: Option<Correlation>,
}

/// Whether longer answers are preferred, and whether a reward's margin grows with the difference in length.
///
/// # Errors
/// No pairs, slices of unequal length, margins that are not finite; with margins, fewer than two different margins or
/// differences.
pub fn length_bias(chosen: &[usize], rejected: &[usize], margins: Option<&[f64]>) -> Result<LengthBias, EvaluationError> {
    same_length("rejected lengths", chosen.len(), rejected.len())?;
    let differences: Vec<f64> = chosen.iter().zip(rejected).map(|(&c, &r)| c as f64 - r as f64).collect();
    let longer: Vec<f64> =
        differences.iter().map(|d| 0.5 + 0.5 * d.partial_cmp(&0.0).map_or(0.0, |o| o as i8 as f64)).collect();
    let margin_correlation = match margins {
        Some(margins) => {
            finite("margins", margins)?;
            same_length("margins", chosen.len(), margins.len())?;
            Some(pearson(&differences, margins)?)
        }
        None => None,
    };
    Ok(LengthBias { chosen_longer: mean("pairs", &longer)?, difference: mean("pairs", &differences)?, margin_correlation })
}
