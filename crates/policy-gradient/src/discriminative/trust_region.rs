//! The squared hinge on the divergence from the policy that sampled.

use tropism_core::CoreError;

use crate::row::Row;
use crate::{Estimator, PolicyGradientError};

/// A trust region: `(β/2) max(K − δ, 0)²` with `K` an estimate of `KL(π_old ‖ π)` over the tokens of the step.
pub(super) struct TrustRegion {
    pub(super) beta: f64,
    pub(super) delta: f64,
    pub(super) estimator: Estimator,
}

/// Estimate of `KL(π_old ‖ π)` from a token of the old policy, and its slope in `logp`.
fn at(estimator: Estimator, logp: f64, old: f64) -> (f64, f64) {
    // The estimators' roles are turned round: samples are of the old policy, and the policy stands in for the reference.
    let (value, slope) = estimator.at(logp - old);
    (value, -slope)
}

/// Estimates of one row's tokens.
pub(super) fn estimates(estimator: Estimator, row: &Row) -> Vec<f64> {
    row.logps.iter().zip(&row.old).map(|(lp, old)| at(estimator, *lp, *old).0).collect()
}

impl TrustRegion {
    /// How much the divergence is out of bounds.
    fn excess(&self, divergence: f64) -> f64 {
        (divergence - self.delta).max(0.0)
    }

    /// A token's share of the penalty, to be divided by the tokens of the step.
    pub(super) fn value(&self, divergence: f64) -> f64 {
        0.5 * self.beta * self.excess(divergence).powi(2)
    }

    /// Slopes in the row's log-probabilities, to be divided by the tokens of the step.
    pub(super) fn slopes(&self, divergence: f64, row: &Row) -> Vec<f64> {
        let multiplier = self.beta * self.excess(divergence);
        row.logps.iter().zip(&row.old).map(|(lp, old)| multiplier * at(self.estimator, *lp, *old).1).collect()
    }
}

/// The divergence from the policy that sampled, over the tokens that count: the mean of the estimate of `KL(π_old ‖ π)`.
///
/// ```text
/// k1: logp_old − logp        k2: (logp − logp_old)² / 2        k3: e^d − 1 − d,  d = logp − logp_old
/// ```
///
/// [`disco()`](crate::disco()) and [`drpo()`](crate::drpo()) are nonlinear in it: to split a step into micro-batches,
/// compute it over all of them first and add it to each ([`Rollout::with_step_kl`](crate::Rollout::with_step_kl)).
///
/// # Errors
/// [`CoreError::SizeMismatch`]; [`CoreError::Empty`] without a counted token; [`CoreError::NotFinite`].
///
/// ```
/// use tropism_policy_gradient::{Estimator, old_policy_kl};
///
/// assert_eq!(old_policy_kl(&[-1.5, -2.0, 9.0], &[-1.0, -2.0, 0.0], &[true, true, false], Estimator::K1)?, 0.25);
/// # Ok::<(), tropism_policy_gradient::PolicyGradientError>(())
/// ```
pub fn old_policy_kl(logps: &[f64], old: &[f64], mask: &[bool], estimator: Estimator) -> Result<f64, PolicyGradientError> {
    CoreError::check_size("old logps", logps.len(), old.len())?;
    CoreError::check_size("mask", logps.len(), mask.len())?;
    let counted = (0..mask.len()).filter(|&i| mask[i]);
    let each: Vec<f64> = counted.map(|i| at(estimator, logps[i], old[i]).0).collect();
    CoreError::check_finite("divergence", &each)?;
    if each.is_empty() {
        return Err(CoreError::Empty { what: "counted tokens" }.into());
    }
    Ok(crate::row::mean(&each))
}
