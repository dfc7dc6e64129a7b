//! GRPO: the clipped ratio with the group's advantage, averaged over tokens and then over completions.

use dfdx::prelude::*;
use tropism_core::LossTerms;

use super::clip::clipped;
use super::declare;
use crate::{Aggregation, KlPenalty, PolicyGradientError, RatioLevel, Rollout};

declare::clipped! {
    /// Options of [`grpo()`]: those of the paper, with a KL penalty of 0.04.
    Grpo = "grpo", "DeepSeekMath, arXiv 2402.03300",
        grpo, [0.2, 0.2], RatioLevel::Token, Aggregation::SequenceMean, KlPenalty::default()
}

/// The GRPO loss of `P` completions.
///
/// With `r_t = exp(logp_t − logp_old,t)` and the advantage `A_t`, for each counted token:
///
/// ```text
/// l_t       = −min(min(r_t, δ) A_t, clamp(r_t, 1 − ε_low, 1 + ε_high) A_t)
/// ∂l/∂logp  = −r_t A_t where the first product is at most the second and r_t ≤ δ, else 0
/// ```
///
/// averaged over the tokens of a completion, then over completions: a token of a long completion counts less. Advantages
/// come from [`group_normalized`](crate::group_normalized). The paper adds `0.04 · k3`; TRL's trainer has no KL term by
/// default, and aggregates as [`dapo()`](crate::dapo()).
///
/// Reports the figures of all surrogates; see [`metrics`](crate::metrics).
///
/// Source: Shao et al. 2024, arXiv 2402.03300.
///
/// # Errors
/// [`PolicyGradientError::Option`]; [`PolicyGradientError::Missing`] and [`PolicyGradientError::Unused`] when the rollout is
/// not what the options read; [`PolicyGradientError::Core`] for a loss that is not finite.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::TokenLogps;
/// use tropism_policy_gradient::{Grpo, KlPenalty, Rollout, grpo};
///
/// let dev = Cpu::default();
/// let logps = dev.tensor([[-1.0_f64, -2.0], [-0.5, 0.0]]);
/// let mask = [true, true, true, false];
/// let old = TokenLogps::new(dev.tensor([[-1.5, -2.0], [-0.4, 0.0]]), &mask)?;
/// let rollout = Rollout::new(TokenLogps::new(logps.leaky_trace(), &mask)?).with_advantages(&[1.0, -1.0])?.with_old(old)?;
/// let loss = grpo(rollout, &Grpo::default().with_kl(KlPenalty::none()))?.mean()?;
/// // e^½ is clipped at 1.2, e^{−0.1} of a negative advantage is not.
/// let want = (-(1.2 + 1.0) / 2.0 + (-0.1_f64).exp()) / 2.0;
/// assert!((loss.array() - want).abs() < 1e-12);
/// assert_eq!(loss.backward().get(&logps).array()[0], [0.0, -0.25]);
/// # Ok::<(), tropism_policy_gradient::PolicyGradientError>(())
/// ```
pub fn grpo<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    rollout: Rollout<P, C, E, D, T>,
    config: &Grpo,
) -> Result<LossTerms<P, E, D, T>, PolicyGradientError> {
    config.check()?;
    clipped(Grpo::NAME, rollout, config)
}
