//! DAPO: clip-higher and a mean over tokens.

use dfdx::prelude::*;
use tropism_core::LossTerms;

use super::clip::clipped;
use super::declare;
use crate::{Aggregation, KlPenalty, PolicyGradientError, RatioLevel, Rollout};

declare::clipped! {
    /// Options of [`dapo()`].
    Dapo = "dapo", "DAPO: An Open-Source LLM Reinforcement Learning System at Scale, arXiv 2503.14476",
        dapo, [0.2, 0.28], RatioLevel::Token, Aggregation::TokenMean, KlPenalty::none()
}

/// The DAPO loss of `P` completions.
///
/// With `r_t = exp(logp_t − logp_old,t)` and the advantage `A_t`, for each counted token:
///
/// ```text
/// l_t       = −min(min(r_t, δ) A_t, clamp(r_t, 1 − ε_low, 1 + ε_high) A_t)
/// ∂l/∂logp  = −r_t A_t where the first product is at most the second and r_t ≤ δ, else 0
/// ```
///
/// with `ε_high > ε_low`, averaged over all tokens of the step. Its other parts are functions of their own:
/// [`dynamic_sampling`](crate::dynamic_sampling), [`soft_overlong`](crate::soft_overlong); overlong filtering is
/// [`Rollout::with_kept`]. TRL divides by a count of its generation batch: hand that to
/// [`LossTerms::into_scaled`](tropism_core::LossTerms::into_scaled) to have the same.
///
/// Reports the figures of all surrogates; see [`metrics`](crate::metrics).
///
/// Source: Yu et al. 2025, arXiv 2503.14476.
///
/// # Errors
/// [`PolicyGradientError::Option`]; [`PolicyGradientError::Missing`] and [`PolicyGradientError::Unused`] when the rollout is
/// not what the options read; [`PolicyGradientError::Core`] for a loss that is not finite.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::TokenLogps;
/// use tropism_policy_gradient::{Dapo, Rollout, dapo};
///
/// let dev = Cpu::default();
/// let logps = dev.tensor([[-1.0_f64, -2.0], [-0.5, 0.0]]);
/// let mask = [true, true, true, false];
/// let old = TokenLogps::new(dev.tensor([[-1.5, -2.0], [-0.4, 0.0]]), &mask)?;
/// let rollout = Rollout::new(TokenLogps::new(logps.leaky_trace(), &mask)?).with_advantages(&[1.0, -1.0])?.with_old(old)?;
/// let loss = dapo(rollout, &Dapo::default())?.mean()?;
/// let want = (-(1.28 + 1.0) + (-0.1_f64).exp()) / 3.0;
/// assert!((loss.array() - want).abs() < 1e-12);
/// # Ok::<(), tropism_policy_gradient::PolicyGradientError>(())
/// ```
pub fn dapo<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    rollout: Rollout<P, C, E, D, T>,
    config: &Dapo,
) -> Result<LossTerms<P, E, D, T>, PolicyGradientError> {
    config.check()?;
    clipped(Dapo::NAME, rollout, config)
}
