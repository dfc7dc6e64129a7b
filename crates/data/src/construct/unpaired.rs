//! Single responses with a verdict.

use serde::{Deserialize, Serialize};

use super::Scores;
use super::options::options;
use crate::DataError;

/// What makes a response desirable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// A score above 0, as of labels that are 1 and 0; none is left out.
    #[default]
    Positive,
    /// A score above the mean of the prompt's responses; those at the mean are left out.
    AboveMean,
    /// A score of at least the second number; one of at most the first is undesirable, what lies between is left out.
    Between(f64, f64),
    /// The prompt's best response is desirable, its worst one is not, the others are left out; none where they tie.
    Extremes,
}

options! {
    /// Options of [`unpaired`].
    Unpaired = "unpaired" {
        /// What makes a response desirable.
        verdict: Verdict = Verdict::Positive;
    }
}

impl Unpaired {
    /// Checks the values.
    ///
    /// # Errors
    /// Bounds that are not finite or do not rise.
    pub fn check(&self) -> Result<(), DataError> {
        match self.verdict {
            Verdict::Between(low, high) if !(low < high && low.is_finite() && high.is_finite()) => {
                let reason = "the first bound must lie below the second";
                Err(DataError::config("verdict.between", format!("[{low}, {high}]"), reason))
            }
            _ => Ok(()),
        }
    }
}

/// Responses by their index, each with whether it is desirable; in their own order.
///
/// Rows: all with `positive`; those above and below the mean with `above_mean`; `#(s ≤ low) + #(s ≥ high)` with `between`; two
/// with `extremes`. For KTO, BCO and other losses on single responses.
///
/// ```
/// use tropism_data::construct::{Scores, Unpaired, Verdict, unpaired};
/// let options = Unpaired { verdict: Verdict::Between(2.0, 4.0) };
/// let rows = unpaired(&Scores::new("k", &[5.0, 3.0, 2.0])?, &options);
/// assert_eq!(rows, [(0, true), (2, false)]);
/// # Ok::<(), tropism_data::DataError>(())
/// ```
pub fn unpaired(scores: &Scores<'_>, options: &Unpaired) -> Vec<(usize, bool)> {
    let rows = scores.values().iter().enumerate();
    match options.verdict {
        Verdict::Positive => rows.map(|(i, &score)| (i, score > 0.0)).collect(),
        Verdict::AboveMean => {
            let mean = scores.values().iter().sum::<f64>() / scores.len().max(1) as f64;
            rows.filter(|&(_, &score)| score != mean).map(|(i, &score)| (i, score > mean)).collect()
        }
        Verdict::Between(low, high) => {
            rows.filter(|&(_, &score)| score <= low || score >= high).map(|(i, &score)| (i, score >= high)).collect()
        }
        Verdict::Extremes => match scores.order()[..] {
            [best, .., worst] if scores.gap(best, worst) > 0.0 => {
                let mut rows = vec![(best, true), (worst, false)];
                rows.sort_unstable();
                rows
            }
            _ => Vec::new(),
        },
    }
}
