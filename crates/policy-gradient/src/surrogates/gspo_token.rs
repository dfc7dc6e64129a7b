//! GSPO-token: the completion's ratio with gradients by token.

use dfdx::prelude::*;
use tropism_core::LossTerms;

use super::clip::clipped;
use super::declare;
use crate::{Aggregation, KlPenalty, PolicyGradientError, RatioLevel, Rollout};

declare::clipped! {
    /// Options of [`gspo_token()`].
    GspoToken = "gspo_token", "Group Sequence Policy Optimization, arXiv 2507.18071", gspo_token,
    [3e-4, 4e-4], RatioLevel::SequenceToken, Aggregation::SequenceMean, KlPenalty::none()
}

/// The GSPO-token loss of `P` completions, for advantages that differ between tokens.
///
/// The ratio of a token is `s = exp(mean_t (logp_t − logp_old,t))` in value and moves with the token's own log-probability:
///
/// ```text
/// log s_t   = logp_t − sg[logp_t] + sg[log s]
/// l_t       = −min(min(s_t, δ) A_t, clamp(s_t, 1 − ε_low, 1 + ε_high) A_t)
/// ∂l/∂logp  = −s A_t in the token itself where the first product is at most the second and s ≤ δ, else 0
/// ```
///
/// With one advantage for a completion, value and gradient are those of [`gspo()`](crate::gspo()).
///
/// Reports the figures of all surrogates; see [`metrics`](crate::metrics).
///
/// Source: Zheng et al. 2025, arXiv 2507.18071, section 4.3.
///
/// # Errors
/// [`PolicyGradientError::Option`]; [`PolicyGradientError::Missing`] and [`PolicyGradientError::Unused`] when the rollout is
/// not what the options read; [`PolicyGradientError::Core`] for a loss that is not finite.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::TokenLogps;
/// use tropism_policy_gradient::{GspoToken, Rollout, gspo_token};
///
/// let dev = Cpu::default();
/// let logps = dev.tensor([[-1.0_f64, -2.0], [-0.5, 0.0]]);
/// let mask = [true, true, true, false];
/// let old = TokenLogps::new(dev.tensor([[-1.5, -2.0], [-0.4, 0.0]]), &mask)?;
/// let rollout = Rollout::new(TokenLogps::new(logps.leaky_trace(), &mask)?).with_advantages(&[1.0, -1.0])?.with_old(old)?;
/// let loss = gspo_token(rollout, &GspoToken::default().with_epsilon_high(0.3))?.mean()?;
/// let s = 0.25_f64.exp();
/// // e^{−0.1} is below 1 − 0.0003, so the negative advantage is clipped.
/// assert!((loss.array() - (1.0 - 3e-4 - s) / 2.0).abs() < 1e-12);
/// assert!((loss.backward().get(&logps).array()[0][1] + s / 4.0).abs() < 1e-12);
/// # Ok::<(), tropism_policy_gradient::PolicyGradientError>(())
/// ```
pub fn gspo_token<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    rollout: Rollout<P, C, E, D, T>,
    config: &GspoToken,
) -> Result<LossTerms<P, E, D, T>, PolicyGradientError> {
    config.check()?;
    clipped(GspoToken::NAME, rollout, config)
}
