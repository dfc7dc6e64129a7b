//! Which tokens of a prompt are perturbed.

use tropism_core::CoreError;

use crate::CreditError;

/// How many tokens of a prompt are perturbed, `N = ⌊ω / ΔP⌋ + 1` and at most the prompt's length.
///
/// `ΔP` is the difference between the lowest and the second lowest of the tokens' relevances (in the paper: largest and second
/// largest of their negatives), `scale` is `ω > 0`. With `ΔP = 0` all tokens are perturbed, with a single token that one.
/// Cosines that differ in the last digit must not change the count, so `1e-9` is added before rounding down.
///
/// Source: arXiv 2507.21584, equation 9; the authors' code perturbs a fixed share instead.
///
/// # Errors
/// [`CreditError::Core`] without tokens or for a relevance that is no number; [`CreditError::Value`] for a bad scale.
///
/// ```
/// use tropism_credit::perturbation_size;
///
/// assert_eq!(perturbation_size(&[0.31, 0.22, 0.18, 0.16, 0.10], 0.1)?, 2); // ΔP = 0.06
/// # Ok::<(), tropism_credit::CreditError>(())
/// ```
pub fn perturbation_size(relevance: &[f64], scale: f64) -> Result<usize, CreditError> {
    if relevance.is_empty() {
        return Err(CoreError::Empty { what: "relevance" }.into());
    }
    CoreError::check_finite("relevance", relevance)?;
    CreditError::check_rows("perturbation scale", &[scale], "positive and finite", |s| s > 0.0 && s.is_finite())?;
    let mut sorted = relevance.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(gap) = sorted.get(1).map(|second| second - sorted[0]) else { return Ok(1) };
    let size = (scale / gap + 1e-9).floor() + 1.0;
    // A gap of 0 gives an infinite size.
    Ok(if size < relevance.len() as f64 { size as usize } else { relevance.len() })
}

/// The tokens of a prompt that TARS masks or replaces: those with the lowest relevance to the image, as many as
/// [`perturbation_size`] says, in rising order. Of equally relevant tokens the earlier are taken.
///
/// # Errors
/// As [`perturbation_size`].
///
/// ```
/// use tropism_credit::perturbed_tokens;
///
/// assert_eq!(perturbed_tokens(&[0.31, 0.22, 0.18, 0.16, 0.10], 0.1)?, [3, 4]);
/// # Ok::<(), tropism_credit::CreditError>(())
/// ```
pub fn perturbed_tokens(relevance: &[f64], scale: f64) -> Result<Vec<usize>, CreditError> {
    let size = perturbation_size(relevance, scale)?;
    let mut order: Vec<usize> = (0..relevance.len()).collect();
    order.sort_by(|&a, &b| relevance[a].total_cmp(&relevance[b]).then(a.cmp(&b)));
    order.truncate(size);
    order.sort_unstable();
    Ok(order)
}
