//! Dr. GRPO: no division by length.

use dfdx::prelude::*;
use tropism_core::LossTerms;

use super::clip::clipped;
use super::declare;
use crate::{Aggregation, KlPenalty, PolicyGradientError, RatioLevel, Rollout};

declare::clipped! {
    /// Options of [`dr_grpo()`]; set `aggregation` to the longest completion allowed, 3000 tokens by default.
    DrGrpo = "dr_grpo", "Understanding R1-Zero-Like Training: A Critical Perspective, arXiv 2503.20783",
        dr_grpo, [0.2, 0.2], RatioLevel::Token, Aggregation::Constant(3000.0), KlPenalty::none()
}

/// The Dr. GRPO loss of `P` completions.
///
/// With `r_t = exp(logp_t − logp_old,t)` and the advantage `A_t`, for each counted token:
///
/// ```text
/// l_t       = −min(min(r_t, δ) A_t, clamp(r_t, 1 − ε_low, 1 + ε_high) A_t)
/// ∂l/∂logp  = −r_t A_t where the first product is at most the second and r_t ≤ δ, else 0
/// ```
///
/// summed over tokens and divided by `rows · L` with a constant `L`, so that a token counts the same in any completion.
/// Advantages are [not divided by the standard deviation](crate::ScaleRewards::None).
///
/// Reports the figures of all surrogates; see [`metrics`](crate::metrics).
///
/// Source: Liu et al. 2025, arXiv 2503.20783.
///
/// # Errors
/// [`PolicyGradientError::Option`]; [`PolicyGradientError::Missing`] and [`PolicyGradientError::Unused`] when the rollout is
/// not what the options read; [`PolicyGradientError::Core`] for a loss that is not finite.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::TokenLogps;
/// use tropism_policy_gradient::{DrGrpo, Rollout, dr_grpo};
///
/// let dev = Cpu::default();
/// let logps = dev.tensor([[-1.0_f64, -2.0], [-0.5, 0.0]]);
/// let mask = [true, true, true, false];
/// let old = TokenLogps::new(dev.tensor([[-1.5, -2.0], [-0.4, 0.0]]), &mask)?;
/// let rollout = Rollout::new(TokenLogps::new(logps.leaky_trace(), &mask)?).with_advantages(&[1.0, -1.0])?.with_old(old)?;
/// let loss = dr_grpo(rollout, &DrGrpo::default())?.mean()?;
/// let want = (-(1.2 + 1.0) + (-0.1_f64).exp()) / (2.0 * 3000.0);
/// assert!((loss.array() - want).abs() < 1e-12);
/// # Ok::<(), tropism_policy_gradient::PolicyGradientError>(())
/// ```
pub fn dr_grpo<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    rollout: Rollout<P, C, E, D, T>,
    config: &DrGrpo,
) -> Result<LossTerms<P, E, D, T>, PolicyGradientError> {
    config.check()?;
    clipped(DrGrpo::NAME, rollout, config)
}
