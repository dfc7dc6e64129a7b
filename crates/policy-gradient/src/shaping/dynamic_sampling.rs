//! Groups that say something: DAPO's filter, and tasks by how often they are solved.

use crate::advantages::is_flat;
use crate::{Groups, PolicyGradientError};

/// What a filter kept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sampled {
    /// Rows of groups whose rewards differ.
    pub kept: Vec<bool>,
    /// Groups kept.
    pub groups: usize,
    /// Groups dropped.
    pub dropped: usize,
}

/// Drops groups whose rewards are all equal: they have no gradient. The caller samples on until its batch is full.
///
/// NaN rewards are left out of the comparison.
///
/// Source: Yu et al. 2025, arXiv 2503.14476, section 3.2.
///
/// # Errors
/// [`PolicyGradientError::Core`] for another number of rows.
///
/// ```
/// use tropism_policy_gradient::{Groups, dynamic_sampling};
///
/// let found = dynamic_sampling(&[1.0, 0.0, 1.0, 1.0], &Groups::new(&[0, 0, 1, 1])?)?;
/// assert_eq!((found.kept.as_slice(), found.groups, found.dropped), ([true, true, false, false].as_slice(), 1, 1));
/// # Ok::<(), tropism_policy_gradient::PolicyGradientError>(())
/// ```
pub fn dynamic_sampling(rewards: &[f64], groups: &Groups) -> Result<Sampled, PolicyGradientError> {
    groups.check_rows(rewards.len())?;
    let flat: Vec<bool> = groups.members().iter().map(|rows| is_flat(rewards, rows)).collect();
    let dropped = flat.iter().filter(|&&f| f).count();
    let kept = (0..rewards.len()).map(|row| !flat[groups.of(row)]).collect();
    Ok(Sampled { kept, groups: groups.len() - dropped, dropped })
}

/// Tasks by pass rate: the bin, from 0 (hardest) to `bins − 1`, of each task that is solved sometimes; `None` for tasks that
/// are always or never solved.
///
/// A rate `p` between 0 and 1 falls into bin `floor(p · bins)`.
///
/// # Errors
/// [`PolicyGradientError::Entry`] for a rate outside 0 to 1, or no bins.
///
/// ```
/// use tropism_policy_gradient::pass_rate_bins;
///
/// assert_eq!(pass_rate_bins(&[0.0, 0.25, 0.75, 1.0], 2)?, [None, Some(0), Some(1), None]);
/// # Ok::<(), tropism_policy_gradient::PolicyGradientError>(())
/// ```
pub fn pass_rate_bins(rates: &[f64], bins: usize) -> Result<Vec<Option<usize>>, PolicyGradientError> {
    PolicyGradientError::check_entries("pass rates", rates, |p| (0.0..=1.0).contains(&p), "from 0 to 1")?;
    PolicyGradientError::check_entries("the number of bins", &[bins as f64], |n| n > 0.0, "at least 1")?;
    let bin = |p: f64| (p > 0.0 && p < 1.0).then(|| ((p * bins as f64) as usize).min(bins - 1));
    Ok(rates.iter().map(|&p| bin(p)).collect())
}
