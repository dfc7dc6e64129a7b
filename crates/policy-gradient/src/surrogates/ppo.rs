//! PPO: the clipped ratio with the advantages of a critic, and the critic's loss.

use dfdx::prelude::*;
use tropism_core::LossTerms;

use super::clip::{Clip, Clipped};
use super::common::{Common, evaluate_checked};
use super::declare::surrogate_options;
use crate::{
    Aggregation, Coupling, Field, KlPenalty, Method, Need, PolicyGradientError, RatioLevel, Rollout, ValueClip, value_loss,
};

surrogate_options! {
    /// Options of [`ppo()`].
    Ppo = "ppo", "Proximal Policy Optimization Algorithms, arXiv 1707.06347",
        Aggregation::TokenMean, KlPenalty::none(), KlPenalty::check, {
        /// How far below 1 a ratio counts; 0.2 by default.
        epsilon_low: f64 = 0.2, with_epsilon_low, super::declare::below_one;
        /// How far above 1 a ratio counts; 0.2 by default.
        epsilon_high: f64 = 0.2, with_epsilon_high, tropism_core::options::not_negative;
        /// Cap of the ratio that is not clipped (two-sided clipping); none by default.
        delta: Option<f64> = None, with_delta, tropism_core::options::optional(tropism_core::options::positive);
        /// Weight of the critic's loss; 0.1 by default. At 0 no critic is read.
        value_coefficient: f64 = 0.1, with_value_coefficient, tropism_core::options::not_negative;
        /// How far a value may be from the one at sampling time: `{ range = 0.2 }`, the default, or `"none"`.
        value_clip: ValueClip = ValueClip::Range(0.2), with_value_clip, ValueClip::check;
    }
}

impl Clipped for Ppo {
    fn clip(&self) -> Clip {
        Clip { low: self.epsilon_low, high: self.epsilon_high, cap: self.delta, level: RatioLevel::Token }
    }

    fn common(&self) -> Common {
        self.shared()
    }
}

impl Method for Ppo {
    fn reads(&self) -> Vec<(Field, Need)> {
        let mut reads = self.shared().reads();
        if self.value_coefficient != 0.0 {
            reads.push((Field::Critic, Need::Required));
        }
        reads
    }

    fn coupling(&self) -> Coupling {
        self.shared().coupling()
    }

    fn top_entropy_quantile(&self) -> Option<f64> {
        Some(self.top_entropy_quantile)
    }

    fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        rollout: Rollout<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, PolicyGradientError> {
        ppo(rollout, self)
    }
}

/// The PPO loss of `P` completions: the clipped ratio of [`bnpo()`](crate::bnpo()) with advantages by token, such as those
/// of [`gae`](crate::gae), plus `value_coefficient` times [`value_loss`].
///
/// ```text
/// r_t       = exp(logp_t − logp_old,t)
/// l_t       = −min(min(r_t, δ) A_t, clamp(r_t, 1 − ε_low, 1 + ε_high) A_t)
/// ∂l/∂logp  = −r_t A_t where the first product is at most the second and r_t ≤ δ, else 0
/// ```
///
/// Two parts with denominators of their own: counted tokens of the policy, counted values of the critic. The KL penalty
/// belongs into the reward: [`token_rewards`](crate::token_rewards).
///
/// Source: Schulman et al. 2017, arXiv 1707.06347; for language models Ziegler et al. 2019, arXiv 1909.08593; TRL's trainer.
///
/// # Errors
/// [`PolicyGradientError::Option`]; [`PolicyGradientError::Missing`] and [`PolicyGradientError::Unused`] when the rollout is
/// not what the options read; [`PolicyGradientError::Core`] for a loss that is not finite.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::{ScoreTable, TokenLogps};
/// use tropism_policy_gradient::{Critic, Ppo, Rollout, ppo};
///
/// let dev = Cpu::default();
/// let (logps, values) = (dev.tensor([[-1.0_f64, -2.0]]), dev.tensor([[0.5, 0.25]]));
/// let policy = TokenLogps::new(logps.leaky_trace(), &[true, true])?;
/// let critic = Critic::new(ScoreTable::new(values.retaped(), &[true, true])?, &[0.5, 0.25], &[1.0, 1.0])?;
/// let rollout = Rollout::new(policy).with_advantages(&[0.5, 0.75])?.with_critic(critic)?;
/// let loss = ppo(rollout, &Ppo::default())?.mean()?;
/// assert!((loss.array() - (-0.625 + 0.1 * (0.125 + 0.28125) / 2.0)).abs() < 1e-12);
/// # Ok::<(), tropism_policy_gradient::PolicyGradientError>(())
/// ```
pub fn ppo<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    mut rollout: Rollout<P, C, E, D, T>,
    config: &Ppo,
) -> Result<LossTerms<P, E, D, T>, PolicyGradientError> {
    config.check()?;
    rollout.check(Ppo::NAME, &config.reads())?;
    let (critic, kept) = (rollout.critic.take(), rollout.kept.clone());
    let policy = evaluate_checked(rollout, &config.clip(), &config.shared())?.terms;
    match critic {
        None => Ok(policy),
        Some(critic) => {
            let value = value_loss(critic, &kept, config.value_clip)?.times(config.value_coefficient)?;
            Ok(policy.with(value)?)
        }
    }
}
