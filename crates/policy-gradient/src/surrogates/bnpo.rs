//! TRL's `bnpo`: the clipped ratio averaged over tokens.

use dfdx::prelude::*;
use tropism_core::LossTerms;

use super::clip::clipped;
use super::declare;
use crate::{Aggregation, KlPenalty, PolicyGradientError, RatioLevel, Rollout};

declare::clipped! {
    /// Options of [`bnpo()`].
    Bnpo = "bnpo", "TRL's GRPO trainer", bnpo, [0.2, 0.2], RatioLevel::Token, Aggregation::TokenMean, KlPenalty::none()
}

/// The loss that TRL calls `bnpo`, of `P` completions.
///
/// With `r_t = exp(logp_t − logp_old,t)` and the advantage `A_t`, for each counted token:
///
/// ```text
/// l_t       = −min(min(r_t, δ) A_t, clamp(r_t, 1 − ε_low, 1 + ε_high) A_t)
/// ∂l/∂logp  = −r_t A_t where the first product is at most the second and r_t ≤ δ, else 0
/// ```
///
/// averaged over tokens. TRL divides by the tokens of a micro-batch, so its loss depends on the split; here the step is
/// divided once, which is that loss without accumulation. The paper of this name normalises rewards by a Beta distribution;
/// this is not it.
///
/// Reports the figures of all surrogates; see [`metrics`](crate::metrics).
///
/// Source: TRL's GRPO trainer.
///
/// # Errors
/// [`PolicyGradientError::Option`]; [`PolicyGradientError::Missing`] and [`PolicyGradientError::Unused`] when the rollout is
/// not what the options read; [`PolicyGradientError::Core`] for a loss that is not finite.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::TokenLogps;
/// use tropism_policy_gradient::{Bnpo, Rollout, bnpo};
///
/// let dev = Cpu::default();
/// let logps = dev.tensor([[-1.0_f64, -2.0], [-0.5, 0.0]]);
/// let mask = [true, true, true, false];
/// let old = TokenLogps::new(dev.tensor([[-1.5, -2.0], [-0.4, 0.0]]), &mask)?;
/// let rollout = Rollout::new(TokenLogps::new(logps.leaky_trace(), &mask)?).with_advantages(&[1.0, -1.0])?.with_old(old)?;
/// let loss = bnpo(rollout, &Bnpo::default())?.mean()?;
/// let want = (-(1.2 + 1.0) + (-0.1_f64).exp()) / 3.0;
/// assert!((loss.array() - want).abs() < 1e-12);
/// # Ok::<(), tropism_policy_gradient::PolicyGradientError>(())
/// ```
pub fn bnpo<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    rollout: Rollout<P, C, E, D, T>,
    config: &Bnpo,
) -> Result<LossTerms<P, E, D, T>, PolicyGradientError> {
    config.check()?;
    clipped(Bnpo::NAME, rollout, config)
}
