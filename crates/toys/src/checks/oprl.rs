//! OPRL: step rewards that are learnt from outcomes alone make a rare success teach.

use dfdx::prelude::Cpu;
use tropism_core::{SequenceLogps, TokenLogps};
use tropism_credit::{
    Episodes, Estimator, Oprl, StepAdvantages, normalized_step_rewards, oprl, step_advantages, step_rewards,
};
use tropism_policy_gradient::{Bnpo, Rollout, bnpo};

use crate::worlds::{TokenRows, Descent, Policy, Stream, Traced, gradient, logps_of};
use crate::{Chance, Figures, Relation, Toy, ToyError};

const STEPS: usize = 6;
const ACTIONS: usize = 4;
/// Right steps that make a success.
const NEEDED: usize = 5;
const GROUP: usize = 8;
const UPDATES: usize = 80;
const BLOCK: usize = 20;
/// Step size of the policy; its loss is a mean over tokens, so that a row's share is one in six.
const POLICY: f64 = STEPS as f64;
/// Step size of the reward model, of the loss divided by `β = 0.05`.
const MODEL: f64 = 1.0;

/// An agent takes six steps with four actions each, of which one is right; at least five right ones are a success. Policy and
/// process reward model have a row of logits for each step and start uniform. Per update eight trajectories of the one task:
/// one step of the reward model on all pairs of success and failure, then step rewards, then one step of the policy along
/// leave-one-out advantages of the outcome plus `α` times those of the steps. Step rewards are divided by their largest
/// magnitude, as in the authors' code; their baseline is the mean over all steps, as in the paper. `success` is the exact
/// probability of success before an update, averaged over 20 updates.
///
/// No step sizes are recorded; ours are 1 for a position's mean loss and 1/β for the reward model.
pub(super) const TOY: Toy = Toy {
    row: "oprl",
    title: "Online Process Reward Learning for Agentic Reinforcement Learning",
    arxiv: "2509.19199",
    claim: "Advantages of steps, by a reward model that learns from whole trajectories, raise success clearly above advantages \
            of outcomes alone.",
    chance: Chance::Seeds(40),
    relations: &[
        Relation::above("success(alpha 1, updates 1-20)", "success(alpha 0, updates 1-20)"),
        Relation::above("success(alpha 1, updates 21-40)", "success(alpha 0, updates 21-40)"),
        Relation::above("success(alpha 0.1, updates 61-80)", "success(alpha 0, updates 61-80)"),
        Relation::above("success(alpha 0.3, updates 61-80)", "success(alpha 0, updates 61-80)"),
        Relation::above("success(alpha 1, updates 61-80)", "success(alpha 0, updates 61-80)"),
    ],
    run,
};

fn run(seed: u64) -> Result<Figures, ToyError> {
    let mut figures = Figures::default();
    for alpha in [0.0, 0.1, 0.3, 1.0] {
        let mut agent = Agent::new(alpha);
        let (mut random, mut sum) = (Stream::new(seed, 0), 0.0);
        for update in 1..=UPDATES {
            sum += agent.success()?;
            agent.update(&mut random)?;
            if update % BLOCK == 0 {
                let name = format!("success(alpha {alpha}, updates {}-{update})", update - BLOCK + 1);
                figures.push(name, "", sum / BLOCK as f64);
                sum = 0.0;
            }
        }
    }
    Ok(figures)
}

/// A policy with its reward model.
struct Agent {
    shape: Policy,
    policy: Vec<f64>,
    model: Vec<f64>,
    rules: [Descent; 2],
    loss: Oprl,
    advantages: StepAdvantages,
}

impl Agent {
    fn new(alpha: f64) -> Self {
        let loss = Oprl::default();
        let rules = [Descent::plain(POLICY), Descent::plain(MODEL / loss.beta)];
        let (policy, model) = (vec![0.0; STEPS * ACTIONS], vec![0.0; STEPS * ACTIONS]);
        let advantages = StepAdvantages::default().with_alpha(alpha).with_estimator(Estimator::LeaveOneOut);
        Self { shape: Policy::tabular(STEPS, ACTIONS), policy, model, rules, loss, advantages }
    }

    /// Exact probability of at least five right steps; action 0 is right.
    fn success(&self) -> Result<f64, ToyError> {
        let table = self.shape.table(&self.policy)?;
        let right: Vec<f64> = table.chunks(ACTIONS).map(|row| row[0].exp()).collect();
        let all: f64 = right.iter().product();
        let but = |k: usize| (0..STEPS).map(|i| if i == k { 1.0 - right[i] } else { right[i] }).product::<f64>();
        Ok(all + (0..STEPS).map(but).sum::<f64>())
    }

    fn update(&mut self, random: &mut Stream) -> Result<(), ToyError> {
        let table = self.shape.table(&self.policy)?;
        let actions: Vec<usize> = (0..GROUP).flat_map(|_| trajectory(&table, random)).collect();
        let right = |steps: &[usize]| steps.iter().filter(|&&cell| cell % ACTIONS == 0).count();
        let outcome = |steps: &[usize]| if right(steps) >= NEEDED { 1.0 } else { 0.0 };
        let outcomes: Vec<f64> = actions.chunks(STEPS).flat_map(|steps| [outcome(steps); STEPS]).collect();
        let of_step: Vec<usize> = (0..actions.len()).map(|row| row / STEPS).collect();
        let episodes = Episodes::new(&of_step, &vec![0; actions.len()], &outcomes)?;
        // a row for each step, of one token
        let steps = TokenRows::new(&actions.iter().map(|&cell| vec![cell]).collect::<Vec<_>>(), 1)?;
        let old = logps_of(&steps, &table)?;
        self.learn(&steps, old.clone().sum()?, &episodes)?;
        let advantages = self.advantages(&steps, &old, &episodes)?;
        let (_, slopes) = gradient(&self.policy, |x: Traced| {
            let rollout = Rollout::new(steps.logps(self.shape.logps(x)?)?);
            Ok(bnpo(rollout.with_advantages(&advantages)?.with_old(old.clone())?, &Bnpo::default())?.mean()?)
        })?;
        self.rules[0].step(&mut self.policy, &slopes)
    }

    /// One step of the reward model, if there is a pair.
    fn learn(
        &mut self,
        steps: &TokenRows,
        old: SequenceLogps<usize, f64, Cpu>,
        episodes: &Episodes,
    ) -> Result<(), ToyError> {
        let outcomes = || episodes.trajectories().iter().map(|t| t.outcome);
        if !(outcomes().any(|o| o > 0.0) && outcomes().any(|o| o <= 0.0)) {
            return Ok(());
        }
        let (_, slopes) = gradient(&self.model, |x: Traced| {
            let model = steps.logps(self.shape.logps(x)?)?.sum()?;
            Ok(oprl(model, old, episodes, &self.loss)?.mean()?)
        })?;
        self.rules[1].step(&mut self.model, &slopes)
    }

    /// Advantages of the steps, scored by the reward model after its update.
    fn advantages(
        &self,
        steps: &TokenRows,
        old: &TokenLogps<usize, usize, f64, Cpu>,
        episodes: &Episodes,
    ) -> Result<Vec<f64>, ToyError> {
        let table = self.shape.table(&self.model)?;
        let model = logps_of(steps, &table)?;
        let rewards = normalized_step_rewards(&step_rewards(&model, old, self.loss.beta, None)?);
        Ok(step_advantages(&rewards, episodes, &self.advantages)?)
    }
}

/// The cells of one trajectory.
fn trajectory(table: &[f64], random: &mut Stream) -> Vec<usize> {
    let pick = |(step, row): (usize, &[f64])| {
        let probabilities: Vec<f64> = row.iter().map(|lp| lp.exp()).collect();
        step * ACTIONS + random.pick(&probabilities)
    };
    table.chunks(ACTIONS).enumerate().map(pick).collect()
}
