//! Pairs whose gap lies within bounds.

use super::options::options;
use super::{Links, Scores, TieRule, all_pairs};
use crate::DataError;

options! {
    /// Options of [`margin`].
    Margin = "margin" {
        /// Smallest gap of scores, above 0.
        min: f64 = 1.0;
        /// Largest gap of scores; none: no upper bound.
        max: Option<f64> = None;
    }
}

impl Margin {
    /// Checks the values.
    ///
    /// # Errors
    /// A smallest gap that is not above 0, a largest one below it.
    pub fn check(&self) -> Result<(), DataError> {
        if !(self.min > 0.0 && self.min.is_finite()) {
            return Err(DataError::config("min", self.min, "must be above 0; `all_pairs` takes every pair"));
        }
        match self.max {
            Some(max) if max < self.min || max.is_nan() => {
                Err(DataError::config("max", max, format!("must be at least `min`, {}", self.min)))
            }
            _ => Ok(()),
        }
    }
}

/// Every pair of responses with `min ≤ gap ≤ max`, in the order of [`all_pairs()`](super::all_pairs()).
///
/// Pairs: the number of `i < j` with `min ≤ |s_i − s_j| ≤ max`. Small gaps are noisy labels, large ones easy pairs.
///
/// ```
/// use tropism_data::construct::{Margin, Scores, margin};
/// let scores = Scores::new("k", &[7.0, 9.0, 3.0])?;
/// let links = margin(&scores, &Margin { min: 2.0, max: Some(4.0) }).links;
/// let gaps: Vec<_> = links.iter().map(|link| link.gap).collect();
/// assert_eq!(gaps, [2.0, 4.0]);
/// # Ok::<(), tropism_data::DataError>(())
/// ```
pub fn margin(scores: &Scores<'_>, options: &Margin) -> Links {
    if scores.len() < 2 {
        return Links::skipped(super::FEW);
    }
    let within = |gap: f64| gap >= options.min && options.max.is_none_or(|max| gap <= max);
    let pairs = all_pairs::every(&scores.order()).filter(|&(a, b)| within(scores.gap(a, b))).collect::<Vec<_>>();
    if pairs.is_empty() {
        return Links::skipped("no gap within the margins");
    }
    Links::between(scores, pairs, &TieRule::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_checked() {
        assert!(Margin::default().check().is_ok());
        for (min, max) in [(0.0, None), (f64::NAN, None), (1.0, Some(0.5)), (1.0, Some(f64::NAN))] {
            assert!(Margin { min, max }.check().is_err(), "{min} {max:?}");
        }
    }
}
