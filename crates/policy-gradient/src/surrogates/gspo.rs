//! GSPO: one length-normalised ratio for a completion.

use dfdx::prelude::*;
use tropism_core::LossTerms;

use super::clip::clipped;
use super::declare;
use crate::{Aggregation, KlPenalty, PolicyGradientError, RatioLevel, Rollout};

declare::clipped! {
    /// Options of [`gspo()`]; the narrow range fits a ratio that is a mean over tokens.
    Gspo = "gspo", "Group Sequence Policy Optimization, arXiv 2507.18071",
        gspo, [3e-4, 4e-4], RatioLevel::Sequence, Aggregation::SequenceMean, KlPenalty::none()
}

/// The GSPO loss of `P` completions.
///
/// With one ratio for a completion of `n` tokens, `s = exp(mean_t (logp_t − logp_old,t))`, for each counted token:
///
/// ```text
/// l_t       = −min(min(s, δ) A_t, clamp(s, 1 − ε_low, 1 + ε_high) A_t)
/// ∂l/∂logp  = −s A_t / n in every token of the completion, where the first product is at most the second and s ≤ δ, else 0
/// ```
///
/// averaged over completions. With an aggregation over tokens, completions count by their length.
///
/// Reports the figures of all surrogates; see [`metrics`](crate::metrics).
///
/// Source: Zheng et al. 2025, arXiv 2507.18071.
///
/// # Errors
/// [`PolicyGradientError::Option`]; [`PolicyGradientError::Missing`] and [`PolicyGradientError::Unused`] when the rollout is
/// not what the options read; [`PolicyGradientError::Core`] for a loss that is not finite.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::TokenLogps;
/// use tropism_policy_gradient::{Gspo, Rollout, gspo};
///
/// let dev = Cpu::default();
/// let logps = dev.tensor([[-1.0_f64, -2.0], [-0.5, 0.0]]);
/// let mask = [true, true, true, false];
/// let old = TokenLogps::new(dev.tensor([[-1.5, -2.0], [-0.4, 0.0]]), &mask)?;
/// let rollout = Rollout::new(TokenLogps::new(logps.leaky_trace(), &mask)?).with_advantages(&[1.0, -1.0])?.with_old(old)?;
/// let loss = gspo(rollout, &Gspo::default().with_epsilon_low(0.2).with_epsilon_high(0.28))?.mean()?;
/// let (s, t) = (0.25_f64.exp(), (-0.1_f64).exp());
/// assert!((loss.array() - (t - s.min(1.28)) / 2.0).abs() < 1e-12);
/// # Ok::<(), tropism_policy_gradient::PolicyGradientError>(())
/// ```
pub fn gspo<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    rollout: Rollout<P, C, E, D, T>,
    config: &Gspo,
) -> Result<LossTerms<P, E, D, T>, PolicyGradientError> {
    config.check()?;
    clipped(Gspo::NAME, rollout, config)
}
