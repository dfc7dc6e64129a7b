//! Soft values of one state from the logits of a policy.

use tropism_core::CoreError;

use crate::CreditError;

/// Soft values of a state whose next token has the logits `z`: `Q_a = β z_a`, `V = β log Σ_a e^{z_a}`, `A_a = Q_a − V`.
///
/// Adding a number to all logits moves `Q` and `V` by `β` times that number, the state's free potential, and leaves `A`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SoftValues {
    /// `Q` of each token.
    pub actions: Vec<f64>,
    /// `V` of the state.
    pub value: f64,
    /// `β log π` of each token.
    pub advantages: Vec<f64>,
}

/// Soft values from a policy's logits, in units of the reward.
///
/// Source: Rafailov et al. 2024, arXiv 2404.12358, section 4.1: the logits of a policy trained with DPO are a soft Q-function.
///
/// # Errors
/// [`CreditError::Value`] for a `beta` that is not positive; [`CreditError::Core`] without logits or for one that is not
/// finite.
///
/// ```
/// let values = tropism_credit::soft_values(&[1.0, 0.0], 0.5)?;
/// assert_eq!(values.actions, [0.5, 0.0]);
/// assert!((values.value - 0.5 * (1.0_f64.exp() + 1.0).ln()).abs() < 1e-15);
/// # Ok::<(), tropism_credit::CreditError>(())
/// ```
pub fn soft_values(logits: &[f64], beta: f64) -> Result<SoftValues, CreditError> {
    CreditError::check_rows("beta of soft values", &[beta], "positive and finite", |b| b > 0.0 && b.is_finite())?;
    let lse = log_sum_exp("logits", logits)?;
    let actions: Vec<f64> = logits.iter().map(|z| beta * z).collect();
    let advantages = logits.iter().map(|z| beta * (z - lse)).collect();
    Ok(SoftValues { actions, value: beta * lse, advantages })
}

/// `E_{a ~ reference}[β log(π_a / π_ref,a)] = −β KL(π_ref ‖ π)` of one state, at most 0: what DPO's rewards of the
/// reference's own answers drift to.
///
/// # Errors
/// As [`soft_values`]; [`CreditError::Core`] for lists of different lengths.
///
/// ```
/// let logits = [0.6_f64.ln(), 0.4_f64.ln()];
/// assert_eq!(tropism_credit::drift(&logits, &logits, 0.5)?, 0.0);
/// assert!(tropism_credit::drift(&[0.0, 0.0], &logits, 0.5)? < 0.0);
/// # Ok::<(), tropism_credit::CreditError>(())
/// ```
pub fn drift(policy_logits: &[f64], reference_logits: &[f64], beta: f64) -> Result<f64, CreditError> {
    CoreError::check_size("reference logits", policy_logits.len(), reference_logits.len())?;
    let policy = soft_values(policy_logits, beta)?.advantages;
    let reference = soft_values(reference_logits, beta)?.advantages;
    let each = policy.iter().zip(&reference);
    Ok(each.map(|(p, r)| (r / beta).exp() * (p - r)).sum())
}

/// Proxy tuning: log-probabilities of `π ∝ π_base (π_proxy / π_ref)^strength`.
///
/// All arguments are logits or log-probabilities of one next token. With `strength = 0` it is the base model, with the
/// reference as base and `strength = 1` the proxy.
///
/// Source: Rafailov et al. 2024, arXiv 2404.12358, equation 14.
///
/// # Errors
/// [`CreditError::Core`] for lists of different lengths, empty ones, and results that are not finite.
///
/// ```
/// let (base, proxy, reference) = ([0.0, 0.0], [1.0, 0.0], [0.0, 0.0]);
/// let logps = tropism_credit::proxy_logps(&base, &proxy, &reference, 2.0)?;
/// assert!((logps[0] - logps[1] - 2.0).abs() < 1e-15);
/// # Ok::<(), tropism_credit::CreditError>(())
/// ```
pub fn proxy_logps(base: &[f64], proxy: &[f64], reference: &[f64], strength: f64) -> Result<Vec<f64>, CreditError> {
    CoreError::check_size("proxy logits", base.len(), proxy.len())?;
    CoreError::check_size("reference logits", base.len(), reference.len())?;
    let each = base.iter().zip(proxy).zip(reference);
    let mixed: Vec<f64> = each.map(|((b, p), r)| b + strength * (p - r)).collect();
    let lse = log_sum_exp("mixed logits", &mixed)?;
    Ok(mixed.iter().map(|z| z - lse).collect())
}

/// `log Σ e^x` of finite numbers.
pub(super) fn log_sum_exp(what: &'static str, x: &[f64]) -> Result<f64, CreditError> {
    if x.is_empty() {
        return Err(CoreError::Empty { what }.into());
    }
    CoreError::check_finite(what, x)?;
    let top = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Ok(top + x.iter().map(|v| (v - top).exp()).sum::<f64>().ln())
}
