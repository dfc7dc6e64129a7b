//! Sampled completions with all that a loss may read about them.

use dfdx::prelude::*;
use tropism_core::{CoreError, ScoreTable, TokenLogps};

use crate::{Critic, Field, Groups, Need, PolicyGradientError};

/// `P` sampled completions of up to `C` tokens: the policy's log-probabilities, on a tape, and constants.
///
/// The policy's mask says which tokens count; for an agent it selects the tokens that the model wrote and leaves out those
/// of tools. What stands in other cells reaches no figure and no gradient. Log-probabilities are in nats, of logits divided
/// by the sampling temperature.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::TokenLogps;
/// use tropism_policy_gradient::{Dapo, Rollout, dapo};
///
/// let dev = Cpu::default();
/// let logps = dev.tensor([[-1.0_f64, -2.0], [-0.5, 0.0]]);
/// let policy = TokenLogps::new(logps.leaky_trace(), &[true, true, true, false])?;
/// let rollout = Rollout::new(policy).with_advantages(&[1.0, -1.0])?;
/// let loss = dapo(rollout, &Dapo::default())?.mean()?;
/// let third = 1.0 / 3.0;
/// assert_eq!(loss.array(), -third);
/// assert_eq!(loss.backward().get(&logps).array(), [[-third, -third], [third, 0.0]]);
/// # Ok::<(), tropism_policy_gradient::PolicyGradientError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Rollout<P: Dim, C: Dim, E: Dtype, D: Device<E>, T = NoneTape> {
    pub(crate) policy: TokenLogps<P, C, E, D, T>,
    pub(crate) old: Option<TokenLogps<P, C, E, D>>,
    pub(crate) reference: Option<TokenLogps<P, C, E, D>>,
    pub(crate) sampler: Option<TokenLogps<P, C, E, D>>,
    pub(crate) entropies: Option<ScoreTable<P, C, E, D, T>>,
    pub(crate) entropy_threshold: Option<f64>,
    pub(crate) critic: Option<Critic<P, C, E, D, T>>,
    /// By cell.
    pub(crate) advantages: Option<Vec<f64>>,
    /// By row, if they were given so.
    pub(crate) row_advantages: Option<Vec<f64>>,
    pub(crate) rewards: Option<Vec<f64>>,
    pub(crate) groups: Option<Groups>,
    pub(crate) step_kl: Option<f64>,
    pub(crate) kept: Vec<bool>,
}

impl<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>> Rollout<P, C, E, D, T> {
    /// Completions with the policy's log-probabilities.
    pub fn new(policy: TokenLogps<P, C, E, D, T>) -> Self {
        let kept = vec![true; policy.size().0];
        Self {
            policy,
            old: None,
            reference: None,
            sampler: None,
            entropies: None,
            entropy_threshold: None,
            critic: None,
            advantages: None,
            row_advantages: None,
            rewards: None,
            groups: None,
            step_kl: None,
            kept,
        }
    }

    /// Number of completions.
    pub fn rows(&self) -> usize {
        self.policy.size().0
    }

    /// Adds advantages: `[P]`, the same for all tokens of a completion, or `[P, C]` row by row.
    ///
    /// # Errors
    /// [`CoreError::SizeMismatch`] for another size; [`CoreError::NotFinite`] for an advantage of a token that counts.
    pub fn with_advantages(mut self, advantages: &[f64]) -> Result<Self, PolicyGradientError> {
        let (rows, columns) = self.policy.size();
        let by_cell: Vec<f64> = if advantages.len() == rows {
            CoreError::check_finite("advantages", advantages)?;
            self.row_advantages = Some(advantages.to_vec());
            advantages.iter().flat_map(|&a| std::iter::repeat_n(a, columns)).collect()
        } else {
            CoreError::check_size("advantages", rows * columns, advantages.len())?;
            advantages.to_vec()
        };
        let counted = by_cell.iter().zip(self.policy.mask());
        match counted.clone().position(|(a, &m)| m && !a.is_finite()) {
            Some(at) => Err(CoreError::NotFinite { what: "advantages", row: at / columns, value: by_cell[at] }.into()),
            None => {
                self.advantages = Some(counted.map(|(&a, &m)| if m { a } else { 0.0 }).collect());
                Ok(self)
            }
        }
    }

    /// Adds log-probabilities of the policy that sampled; without them the policy itself, held constant, stands in.
    ///
    /// # Errors
    /// [`PolicyGradientError::UnevenMask`] unless they count the policy's tokens.
    pub fn with_old(mut self, old: TokenLogps<P, C, E, D>) -> Result<Self, PolicyGradientError> {
        self.check_mask(Field::Old, old.mask())?;
        self.old = Some(old);
        Ok(self)
    }

    /// Adds log-probabilities of the reference.
    ///
    /// # Errors
    /// As [`with_old`](Self::with_old).
    pub fn with_reference(mut self, reference: TokenLogps<P, C, E, D>) -> Result<Self, PolicyGradientError> {
        self.check_mask(Field::Reference, reference.mask())?;
        self.reference = Some(reference);
        Ok(self)
    }

    /// Adds the log-probabilities that the sampler reported, for [`SamplerCorrection`](crate::SamplerCorrection).
    ///
    /// # Errors
    /// As [`with_old`](Self::with_old).
    pub fn with_sampler(mut self, sampler: TokenLogps<P, C, E, D>) -> Result<Self, PolicyGradientError> {
        self.check_mask(Field::Sampler, sampler.mask())?;
        self.sampler = Some(sampler);
        Ok(self)
    }

    /// Adds the entropies of the policy's next-token distributions, in nats, on a tape if a bonus is to have a gradient.
    ///
    /// # Errors
    /// As [`with_old`](Self::with_old).
    pub fn with_entropies(mut self, entropies: ScoreTable<P, C, E, D, T>) -> Result<Self, PolicyGradientError> {
        self.check_mask(Field::Entropies, entropies.mask())?;
        self.entropies = Some(entropies);
        Ok(self)
    }

    /// Adds the threshold of the whole step's entropies, for micro-batches; see
    /// [`entropy_threshold`](crate::entropy_threshold).
    #[must_use]
    pub fn with_entropy_threshold(self, threshold: f64) -> Self {
        Self { entropy_threshold: Some(threshold), ..self }
    }

    /// Adds predictions of a critic.
    ///
    /// # Errors
    /// [`CoreError::SizeMismatch`] unless it has the policy's rows.
    pub fn with_critic(mut self, critic: Critic<P, C, E, D, T>) -> Result<Self, PolicyGradientError> {
        CoreError::check_size("rows of the critic", self.rows(), critic.values.size().0)?;
        self.critic = Some(critic);
        Ok(self)
    }

    /// Adds rewards, one per completion.
    ///
    /// # Errors
    /// [`CoreError::SizeMismatch`]; [`CoreError::NotFinite`].
    pub fn with_rewards(mut self, rewards: &[f64]) -> Result<Self, PolicyGradientError> {
        CoreError::check_size("rewards", self.rows(), rewards.len())?;
        CoreError::check_finite("rewards", rewards)?;
        self.rewards = Some(rewards.to_vec());
        Ok(self)
    }

    /// Says which completions answer the same prompt.
    ///
    /// # Errors
    /// [`CoreError::SizeMismatch`] for another number of rows.
    pub fn with_groups(mut self, groups: Groups) -> Result<Self, PolicyGradientError> {
        groups.check_rows(self.rows())?;
        self.groups = Some(groups);
        Ok(self)
    }

    /// Adds the divergence from the old policy over the whole step, for micro-batches; see
    /// [`old_policy_kl`](crate::old_policy_kl).
    #[must_use]
    pub fn with_step_kl(self, divergence: f64) -> Self {
        Self { step_kl: Some(divergence), ..self }
    }

    /// Drops rows: they add nothing to the loss and nothing to its denominator, as if they were not in the batch.
    ///
    /// # Errors
    /// [`CoreError::SizeMismatch`] for another number of rows.
    pub fn with_kept(mut self, kept: &[bool]) -> Result<Self, PolicyGradientError> {
        CoreError::check_size("kept", self.rows(), kept.len())?;
        self.kept = kept.to_vec();
        Ok(self)
    }

    /// Fails unless the rollout has what is required, and nothing but what is read.
    pub(crate) fn check(&self, method: &'static str, reads: &[(Field, Need)]) -> Result<(), PolicyGradientError> {
        for (field, there) in self.present() {
            let need = reads.iter().find(|(f, _)| *f == field).map(|(_, need)| *need);
            match (need, there) {
                (Some(Need::Required), false) => return Err(PolicyGradientError::Missing { method, field }),
                (None, true) => return Err(PolicyGradientError::Unused { method, field }),
                _ => {}
            }
        }
        Ok(())
    }

    /// All fields, with whether they are there.
    fn present(&self) -> [(Field, bool); 10] {
        [
            (Field::Advantages, self.advantages.is_some()),
            (Field::Old, self.old.is_some()),
            (Field::Reference, self.reference.is_some()),
            (Field::Sampler, self.sampler.is_some()),
            (Field::Entropies, self.entropies.is_some()),
            (Field::EntropyThreshold, self.entropy_threshold.is_some()),
            (Field::Critic, self.critic.is_some()),
            (Field::Rewards, self.rewards.is_some()),
            (Field::Groups, self.groups.is_some()),
            (Field::StepKl, self.step_kl.is_some()),
        ]
    }

    fn check_mask(&self, field: Field, mask: &[bool]) -> Result<(), PolicyGradientError> {
        CoreError::check_size("mask", self.policy.mask().len(), mask.len())?;
        match self.policy.mask().iter().zip(mask).position(|(a, b)| a != b) {
            Some(at) => Err(PolicyGradientError::UnevenMask { field, row: at / self.policy.size().1 }),
            None => Ok(()),
        }
    }
}
