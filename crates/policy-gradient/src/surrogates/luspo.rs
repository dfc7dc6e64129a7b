//! LUSPO: GSPO times the length.

use dfdx::prelude::*;
use tropism_core::LossTerms;

use super::clip::clipped;
use super::declare;
use crate::{Aggregation, KlPenalty, PolicyGradientError, RatioLevel, Rollout};

declare::clipped! {
    /// Options of [`luspo()`].
    Luspo = "luspo", "LUSPO: Length-Unbiased Sequence Policy Optimization, 2026; TRL's GRPO trainer",
        luspo, [2e-3, 2.5e-3], RatioLevel::Sequence, Aggregation::SequenceSum, KlPenalty::none()
}

/// The LUSPO loss of `P` completions: [`gspo()`](crate::gspo()) times the length, so that length is not penalised.
///
/// With one ratio for a completion of `n` tokens, `s = exp(mean_t (logp_t − logp_old,t))`, for each counted token:
///
/// ```text
/// l_t       = −min(min(s, δ) A_t, clamp(s, 1 − ε_low, 1 + ε_high) A_t)
/// ∂l/∂logp  = −s A_t / n in every token of the completion, where the first product is at most the second and s ≤ δ, else 0
/// ```
///
/// summed over the tokens of a completion, which multiplies its loss by `n`, and averaged over completions.
///
/// Reports the figures of all surrogates; see [`metrics`](crate::metrics).
///
/// Source: length-unbiased sequence policy optimisation, 2026; TRL's `luspo`.
///
/// # Errors
/// [`PolicyGradientError::Option`]; [`PolicyGradientError::Missing`] and [`PolicyGradientError::Unused`] when the rollout is
/// not what the options read; [`PolicyGradientError::Core`] for a loss that is not finite.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::TokenLogps;
/// use tropism_policy_gradient::{Luspo, Rollout, luspo};
///
/// let dev = Cpu::default();
/// let logps = dev.tensor([[-1.0_f64, -2.0], [-0.5, 0.0]]);
/// let mask = [true, true, true, false];
/// let old = TokenLogps::new(dev.tensor([[-1.5, -2.0], [-0.4, 0.0]]), &mask)?;
/// let rollout = Rollout::new(TokenLogps::new(logps.leaky_trace(), &mask)?).with_advantages(&[1.0, -1.0])?.with_old(old)?;
/// let loss = luspo(rollout, &Luspo::default().with_epsilon_low(0.2).with_epsilon_high(0.3))?.mean()?;
/// let (s, t) = (0.25_f64.exp(), (-0.1_f64).exp());
/// assert!((loss.array() - (t - 2.0 * s) / 2.0).abs() < 1e-12);
/// # Ok::<(), tropism_policy_gradient::PolicyGradientError>(())
/// ```
pub fn luspo<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    rollout: Rollout<P, C, E, D, T>,
    config: &Luspo,
) -> Result<LossTerms<P, E, D, T>, PolicyGradientError> {
    config.check()?;
    clipped(Luspo::NAME, rollout, config)
}
