//! REINFORCE++: PPO's clip without a critic.

use dfdx::prelude::*;
use tropism_core::LossTerms;

use super::clip::clipped;
use super::declare;
use crate::{Aggregation, KlPenalty, PolicyGradientError, RatioLevel, Rollout};

declare::clipped! {
    /// Options of [`reinforce_plus_plus()`].
    ReinforcePlusPlus = "reinforce_plus_plus", "REINFORCE++, arXiv 2501.03262", reinforce_plus_plus, [0.2, 0.2], RatioLevel::Token, Aggregation::TokenMean,
    KlPenalty::none()
}

/// The REINFORCE++ loss of `P` completions: PPO's clipped ratio, averaged over tokens, with the advantages of
/// [`reinforce`](crate::reinforce), rewards to go whitened over the batch, in the critic's place.
///
/// ```text
/// l_t       = −min(min(r_t, δ) A_t, clamp(r_t, 1 − ε_low, 1 + ε_high) A_t)        r_t = exp(logp_t − logp_old,t)
/// ∂l/∂logp  = −r_t A_t where the first product is at most the second and r_t ≤ δ, else 0
/// ```
///
/// The formula is [`bnpo()`](crate::bnpo())'s; the name stands for the pair of loss and advantages. The KL penalty belongs
/// into the reward: [`token_rewards`](crate::token_rewards).
///
/// Reports the figures of all surrogates; see [`metrics`](crate::metrics).
///
/// Source: Hu 2025, arXiv 2501.03262.
///
/// # Errors
/// [`PolicyGradientError::Option`]; [`PolicyGradientError::Missing`] and [`PolicyGradientError::Unused`] when the rollout is
/// not what the options read; [`PolicyGradientError::Core`] for a loss that is not finite.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::TokenLogps;
/// use tropism_policy_gradient::*;
///
/// let logps = Cpu::default().tensor([[-1.0_f64, -2.0], [-0.5, 0.0]]);
/// let mask = [true, true, true, false];
/// let advantages = reinforce(&[0.0, 1.0, 0.0, 0.0], &mask, 2, &Reinforce::default())?;
/// let rollout = Rollout::new(TokenLogps::new(logps.leaky_trace(), &mask)?).with_advantages(&advantages)?;
/// let loss = reinforce_plus_plus(rollout, &ReinforcePlusPlus::default())?.mean()?;
/// assert!(loss.array().abs() < 1e-12); // whitened advantages have mean 0
/// # Ok::<(), PolicyGradientError>(())
/// ```
pub fn reinforce_plus_plus<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    rollout: Rollout<P, C, E, D, T>,
    config: &ReinforcePlusPlus,
) -> Result<LossTerms<P, E, D, T>, PolicyGradientError> {
    config.check()?;
    clipped(ReinforcePlusPlus::NAME, rollout, config)
}
