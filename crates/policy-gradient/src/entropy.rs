//! The entropy quantile that keeps the uncertain tokens.

use tropism_core::CoreError;

use crate::PolicyGradientError;

/// The entropy from which a token belongs to the most uncertain `quantile` of a step: the `(1 − quantile)` quantile of
/// `entropies`, with linear interpolation between neighbours.
///
/// Hand in the entropies of all counted tokens of the step, and give the result to
/// [`Rollout::with_entropy_threshold`](crate::Rollout::with_entropy_threshold) of each micro-batch.
///
/// Source: Wang et al. 2025, arXiv 2506.01939; TRL's `top_entropy_quantile`.
///
/// # Errors
/// [`CoreError::Empty`] without entropies; [`CoreError::NotFinite`]; [`PolicyGradientError::Entry`] for a quantile outside 0
/// to 1.
///
/// ```
/// use tropism_policy_gradient::entropy_threshold;
///
/// assert_eq!(entropy_threshold(&[3.0, 1.0, 2.0, 4.0], 0.5)?, 2.5);
/// # Ok::<(), tropism_policy_gradient::PolicyGradientError>(())
/// ```
pub fn entropy_threshold(entropies: &[f64], quantile: f64) -> Result<f64, PolicyGradientError> {
    PolicyGradientError::check_entries("quantile", &[quantile], |q| (0.0..=1.0).contains(&q), "from 0 to 1")?;
    CoreError::check_finite("entropies", entropies)?;
    let mut sorted = entropies.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1).ok_or(CoreError::Empty { what: "entropies" })?;
    let place = (1.0 - quantile) * last as f64;
    let (below, above) = (sorted[(place.floor() as usize).min(last)], sorted[(place.ceil() as usize).min(last)]);
    Ok(below + (above - below) * place.fract())
}
