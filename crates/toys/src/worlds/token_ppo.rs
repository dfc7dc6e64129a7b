//! PPO with token rewards on policies with a row of logits for each position.

use dfdx::prelude::*;
use tropism_core::{ScoreTable, TokenLogps};
use tropism_credit::{Rto, RtoModels, rto_rewards};
use tropism_policy_gradient::{
    Aggregation, Critic, Gae, Ppo, Rollout, Shift, ValueClip, Variance, gae, ppo, value_loss, whiten,
};

use super::{Descent, Policy, Positions, Stream, TokenRows, Traced, device, gradient, logps_of};
use crate::ToyError;

/// What the completions of a run are rewarded with.
#[derive(Clone, Debug)]
pub(crate) struct TokenRewards<'a> {
    /// table of the DPO model; without it there is the sentence reward alone
    pub(crate) dpo: Option<&'a [f64]>,
    pub(crate) config: Rto,
    /// the sentence reward is the true one times this
    pub(crate) score_scale: f64,
}

/// A run of PPO from the reference, with a critic that has one value for each position.
#[derive(Clone, Debug)]
pub(crate) struct TokenPpo<'a> {
    world: &'a Positions,
    policy: Policy,
    logits: Vec<f64>,
    values: Vec<f64>,
    actor: Descent,
    critic: Descent,
}

impl<'a> TokenPpo<'a> {
    /// A start at the reference, all values 0.
    pub(crate) fn new(world: &'a Positions, actor: Descent, critic: Descent) -> Self {
        let (logits, values) = (world.reference.clone(), vec![0.0; world.tokens]);
        Self { world, policy: world.policy(), logits, values, actor, critic }
    }

    /// Log-probabilities of all cells.
    pub(crate) fn table(&self) -> Result<Vec<f64>, ToyError> {
        self.policy.table(&self.logits)
    }

    /// One iteration: completions of the policy, their token rewards and advantages (normalised over all tokens), one step of
    /// the policy, one of the critic.
    pub(crate) fn iterate(
        &mut self,
        rollouts: usize,
        rewards: &TokenRewards<'_>,
        random: &mut Stream,
    ) -> Result<(), ToyError> {
        let table = self.table()?;
        let rows: Vec<Vec<usize>> = (0..rollouts).map(|_| self.world.sample(&table, random)).collect();
        let (batch, tokens) = (self.world.batch(&rows)?, self.world.tokens);
        let old = logps_of(&batch, &table)?;
        let paid = self.token_rewards(&rows, &batch, &old, rewards)?;
        let values = self.values.repeat(rollouts);
        let found = gae(&paid, &values, old.mask(), tokens, &Gae::default())?;
        let advantages = whiten(&found.advantages, old.mask(), Variance::Population, Shift::ToZero)?;
        let (_, slopes) = gradient(&self.logits, |x| {
            let rollout = Rollout::new(batch.logps(self.policy.logps(x)?)?);
            let rollout = rollout.with_advantages(&advantages)?.with_old(old.clone())?;
            let config = Ppo::default().with_value_coefficient(0.0).with_aggregation(Aggregation::SequenceMean);
            Ok(ppo(rollout, &config)?.mean()?)
        })?;
        self.actor.step(&mut self.logits, &slopes)?;
        let (_, slopes) = gradient(&self.values, |v| {
            let critic = Critic::new(by_position(v, rollouts)?, &values, &found.returns)?;
            Ok(value_loss(critic, &vec![true; rollouts], ValueClip::Range(0.2))?.mean()?)
        })?;
        self.critic.step(&mut self.values, &slopes)
    }

    fn token_rewards(
        &self,
        rows: &[Vec<usize>],
        batch: &TokenRows,
        old: &TokenLogps<usize, usize, f64, Cpu>,
        rewards: &TokenRewards<'_>,
    ) -> Result<Vec<f64>, ToyError> {
        let reference = logps_of(batch, &self.world.reference)?;
        let dpo = rewards.dpo.map(|table| logps_of(batch, table)).transpose()?;
        let models = RtoModels { old, reference: &reference, dpo: dpo.as_ref() };
        let scores: Vec<f64> = rows.iter().map(|row| rewards.score_scale * self.world.reward(row)).collect();
        Ok(rto_rewards(&models, &scores, None, &rewards.config)?.rewards)
    }
}

/// The value of each position, once for each of `rows` completions.
fn by_position(values: Traced, rows: usize) -> Result<ScoreTable<usize, usize, f64, Cpu, OwnedTape<f64, Cpu>>, ToyError> {
    let columns = values.shape().0;
    let cells = values.try_broadcast_like::<_, Axis<0>>(&(rows, columns)).map_err(device)?;
    Ok(ScoreTable::new(cells, &vec![true; rows * columns])?)
}
