//! RLOO: the completion as one action.

use dfdx::prelude::*;
use tropism_core::LossTerms;

use super::clip::clipped;
use super::declare;
use crate::{Aggregation, KlPenalty, PolicyGradientError, RatioLevel, Rollout};

declare::clipped! {
    /// Options of [`rloo()`].
    Rloo = "rloo", "Back to Basics: REINFORCE Style Optimization, arXiv 2402.14740",
        rloo, [0.2, 0.2], RatioLevel::SequenceSum, Aggregation::SequenceMean, KlPenalty::none()
}

/// The RLOO loss of `P` completions, with advantages of [`leave_one_out`](crate::leave_one_out).
///
/// With the ratio of whole completions, `S = exp Σ_t (logp_t − logp_old,t)`:
///
/// ```text
/// l         = −min(min(S, δ) A, clamp(S, 1 − ε_low, 1 + ε_high) A)
/// ∂l/∂logp  = −S A in every token of the completion, where the first product is at most the second and S ≤ δ, else 0
/// ```
///
/// averaged over completions; one without tokens counts as `−A`. The KL penalty belongs into the reward:
/// [`sequence_penalty`](crate::sequence_penalty).
///
/// Reports the figures of all surrogates; see [`metrics`](crate::metrics).
///
/// Source: Ahmadian et al. 2024, arXiv 2402.14740; TRL's RLOO trainer.
///
/// # Errors
/// [`PolicyGradientError::Option`]; [`PolicyGradientError::Missing`] and [`PolicyGradientError::Unused`] when the rollout is
/// not what the options read; [`PolicyGradientError::Core`] for a loss that is not finite.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::TokenLogps;
/// use tropism_policy_gradient::{Rloo, Rollout, rloo};
///
/// let dev = Cpu::default();
/// let logps = dev.tensor([[-1.0_f64, -2.0], [-0.5, 0.0]]);
/// let mask = [true, true, true, false];
/// let old = TokenLogps::new(dev.tensor([[-1.5, -2.0], [-0.4, 0.0]]), &mask)?;
/// let rollout = Rollout::new(TokenLogps::new(logps.leaky_trace(), &mask)?).with_advantages(&[1.0, -1.0])?.with_old(old)?;
/// let loss = rloo(rollout, &Rloo::default().with_epsilon_high(1.0))?.mean()?;
/// let (s, t) = (0.5_f64.exp(), (-0.1_f64).exp());
/// assert!((loss.array() - (t - s) / 2.0).abs() < 1e-12);
/// assert!((loss.backward().get(&logps).array()[0][1] + s / 2.0).abs() < 1e-12);
/// # Ok::<(), tropism_policy_gradient::PolicyGradientError>(())
/// ```
pub fn rloo<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    rollout: Rollout<P, C, E, D, T>,
    config: &Rloo,
) -> Result<LossTerms<P, E, D, T>, PolicyGradientError> {
    config.check()?;
    clipped(Rloo::NAME, rollout, config)
}
