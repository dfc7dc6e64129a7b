//! A stage that samples, in motion.
use super::batch::Batch;
use super::engine::Remote;
use super::figures::{Times, figures};
use super::gather::{Environment, Gatherer, PromptRow};
use super::learn::Learnt;
use super::options::PolicyGradientOptions;
use super::pass::{Model, VALUE};
use super::process::Process;
use crate::error::TrainError;
use crate::follow::{Steps, steps};
use crate::metrics::{Metrics, StepMetrics};
use crate::progress::Progress;
use crate::schedule::learning_rate;
use crate::stage::{Precision, Stage};
use crate::step::Store;
use dfdx::prelude::*;
use serde_json::{Map, Value};
use std::path::Path;
use std::time::Instant;
use tropism_data::order::Order;
use tropism_data::stream::Stream;
use tropism_lm::{Decoder, Dims, HeadSpec, Headed, Heads};
use tropism_ops::{AdamW, MomentFormat, Scalar};
use tropism_policy_gradient::Field;

/// A stage that samples, rates, attributes and updates, step by step.
///
/// A step samples groups of completions with the policy as it is, rates them, makes advantages of the ratings for the whole
/// step, and updates the policy from them. Everything random draws from streams whose states are in the checkpoint.
pub struct OnlineRun<'a, M: Dims, E: Dtype> {
    pub(crate) stage: &'a Stage<PolicyGradientOptions>,
    pub(crate) prompts: &'a [PromptRow],
    pub(crate) environment: Environment<'a>,
    /// with the critic's head, where there is one
    pub(crate) policy: Headed<M, E>,
    pub(crate) reference: Option<Decoder<M, E>>,
    /// whose log-ratios to the reference are rewards of tokens
    pub(crate) guide: Option<Decoder<M, E>>,
    /// learns beside the policy
    pub(crate) process: Option<Process<M, E>>,
    pub(crate) optimiser: AdamW<E>,
    pub(crate) grads: Store<E>,
    /// of the prompts
    pub(crate) order: Order,
    /// seeds of the rounds of sampling
    pub(crate) rollouts: Stream,
    /// of the groups of a step, among its mini-batches
    pub(crate) shuffles: Stream,
    pub(crate) step: usize,
    pub(crate) tokens: usize,
    /// the server that writes completions, where it is not this program
    pub(crate) engine: Option<Remote>,
    pub(crate) dev: Cpu,
}

impl<'a, M: Dims, E: Scalar> OnlineRun<'a, M, E>
where
    Cpu: Device<E>,
{
    /// Starts a stage from `policy`, with the adapter and the critic that the stage asks for. A reference is needed exactly
    /// when the stage reads one.
    ///
    /// # Errors
    /// Bad options, no prompts, a reference too many or too few, a truth or a world that a reward misses.
    pub fn new(
        stage: &'a Stage<PolicyGradientOptions>,
        prompts: &'a [PromptRow],
        policy: Decoder<M, E>,
        reference: Option<Decoder<M, E>>,
        environment: Environment<'a>,
        seed: u64,
    ) -> Result<Self, TrainError> {
        stage.check_prompts(prompts, &environment)?;
        let trunk = stage.adapt(policy, seed)?;
        let process = stage.objective.process_rewards.is_some().then(|| Process::new(stage, trunk.clone()));
        let critic = HeadSpec { name: VALUE.into(), outputs: 1, bias: true };
        let specs = if stage.objective.has_critic() { vec![critic] } else { vec![] };
        // values of 0 until something is learnt
        let heads = Heads::random(trunk.dims.hidden(), &specs, 0.0, seed)?;
        let order = Order::new(prompts.len(), seed, stage.shuffle)?;
        let streams = ["rollouts", "shuffles"].map(|what| stage.stream(seed, what));
        let mut run = Self::assemble(stage, prompts, Headed { trunk, heads }, reference, environment, order, streams)?;
        run.process = process;
        Ok(run)
    }

    pub(crate) fn assemble(
        stage: &'a Stage<PolicyGradientOptions>,
        prompts: &'a [PromptRow],
        mut policy: Headed<M, E>,
        mut reference: Option<Decoder<M, E>>,
        environment: Environment<'a>,
        order: Order,
        [rollouts, shuffles]: [Stream; 2],
    ) -> Result<Self, TrainError> {
        if stage.objective.needs_reference() != reference.is_some() {
            let problem = format!("{} and the reference do not go together", stage.objective.loss.name());
            return Err(TrainError::Config { stage: stage.name.clone(), key: "reference", problem });
        }
        stage.check_models(&stage.objective.rewards, &environment)?;
        policy.trunk.precision = stage.precision.into();
        policy.trunk.checkpointing = stage.gradient_checkpointing;
        reference.iter_mut().for_each(|r| r.precision = stage.precision.into());
        let mut optimiser = AdamW::new(stage.weight_decay);
        (optimiser.betas, optimiser.eps) = (stage.betas, stage.eps);
        if stage.optimizer_state == Precision::Bf16 {
            optimiser.format = MomentFormat::Bf16;
        }
        let (grads, step, tokens, dev) = (None, 0, 0, Cpu::default());
        let engine = Remote::of(&stage.objective.rollout);
        Ok(OnlineRun {
            stage,
            prompts,
            environment,
            policy,
            reference,
            guide: None,
            process: None,
            optimiser,
            grads,
            order,
            rollouts,
            shuffles,
            step,
            tokens,
            engine,
            dev,
        })
    }

    /// Steps of the whole stage.
    pub fn total(&self) -> usize {
        self.stage.steps(self.prompts.len())
    }

    /// Steps made so far.
    pub fn done(&self) -> usize {
        self.step
    }

    /// Tokens computed in updates so far; shared prompts count once.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// The policy as it is now.
    pub fn policy(&self) -> &Decoder<M, E> {
        &self.policy.trunk
    }

    /// Ends the stage; the critic is left behind.
    pub fn into_policy(self) -> Decoder<M, E> {
        self.policy.trunk
    }

    /// The next step; nothing once the stage is complete.
    ///
    /// # Errors
    /// A prompt that cannot be answered, a reward that cannot be computed, a loss or gradient that is not finite; each named.
    /// A server that does not answer: then the run stands where it stood before the step, and keeps what has come.
    pub fn next_step(&mut self) -> Result<Option<StepMetrics>, TrainError> {
        let total = self.total();
        if self.step >= total {
            return Ok(None);
        }
        let factor = learning_rate(self.stage.schedule, self.step, total, self.stage.warmup(total));
        let lr = self.stage.learning_rate * factor;
        let (mut times, mut more) = (Times::default(), Map::new());
        let options = &self.stage.objective;
        let gatherer = Gatherer {
            rollout: &options.rollout,
            rewards: &options.rewards,
            dynamic_sampling: options.dynamic_sampling.as_ref(),
            prompts: self.prompts,
            environment: self.environment,
            engine: self.engine.as_ref(),
            groups: self.stage.batch_size,
            plain: false,
            turn_rewards: options.reads_turn_rewards(),
        };
        self.stage.at_step(&mut self.rollouts, "rollouts", self.step);
        self.stage.at_step(&mut self.shuffles, "shuffles", self.step);
        let before = (self.order.state(), self.rollouts.state());
        let gathered = match gatherer.gather(&self.policy.trunk, &mut self.order, &mut self.rollouts, &mut times) {
            Ok(gathered) => gathered,
            Err(e) => {
                (self.order, self.rollouts) = (Order::restore(&before.0)?, Stream::restore(&before.1));
                return Err(e);
            }
        };
        let mut batch = gatherer.batch(&gathered.kept)?;
        let mut learnt = Learnt::default();
        if let Some(batch) = &mut batch {
            if let Err(e) = self.score(batch, &mut times) {
                // a server that runs another policy shows here
                (self.order, self.rollouts) = (Order::restore(&before.0)?, Stream::restore(&before.1));
                return Err(e);
            }
            more = self.shape(batch)?;
            more.extend(self.attribute(batch, factor)?);
            let clock = Instant::now();
            learnt = self.learn(batch, lr)?;
            times.update = clock.elapsed();
        }
        self.step += 1;
        self.tokens += learnt.tokens;
        self.engine.iter().for_each(Remote::forget);
        let mut figures = figures(&self.stage.objective, &gathered, batch.as_ref(), &learnt, &times);
        figures.extend(more);
        let at = self.order.state();
        let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len().max(1) as f64;
        Ok(Some(StepMetrics {
            stage: self.stage.name.clone(),
            step: self.step,
            epoch: at.epoch as f64 + at.position as f64 / at.rows as f64,
            loss: mean(&learnt.losses),
            grad_norm: mean(&learnt.norms),
            learning_rate: lr,
            num_tokens: self.tokens,
            figures,
        }))
    }

    /// Log-probabilities of old policy and reference, and values.
    fn score(&self, batch: &mut Batch, times: &mut Times) -> Result<(), TrainError> {
        let (options, most) = (&self.stage.objective, self.stage.micro_batch_tokens);
        let all: Vec<usize> = (0..batch.members.len()).collect();
        let lengths = batch.lengths(&all);
        let parts = (lengths.as_slice(), batch.members.as_slice());
        let clock = Instant::now();
        let agrees = self.agrees(batch)?;
        let mut old = Some(batch.sampler.clone());
        let mut values = None;
        if options.has_critic() || (!agrees && self.reads_old()) {
            let [logps, found] = self.model().score(&batch.samples, parts, most)?;
            values = options.has_critic().then_some(found);
            old = Some(logps);
        }
        times.old = clock.elapsed();
        let clock = Instant::now();
        let mut reference = None;
        if let Some(trunk) = &self.reference {
            let model = Model { trunk, critic: None, temperature: options.rollout.temperature };
            let [logps, _] = model.score(&batch.samples, parts, most)?;
            reference = Some(logps);
        }
        times.reference = clock.elapsed();
        (batch.old, batch.values, batch.reference) = (old, values, reference);
        Ok(())
    }

    /// Whether the sampler's log-probabilities are the trainer's. In f32 this program's own agree to rounding, so that a pass
    /// over the completions would say nothing new; a server's are compared on the first group.
    fn agrees(&self, batch: &Batch) -> Result<bool, TrainError> {
        let Some(engine) = &self.engine else { return Ok(self.stage.precision == Precision::F32) };
        let Some(first) = batch.members.first() else { return Ok(true) };
        let model = Model { critic: None, ..self.model() };
        let parts = (&batch.lengths(&[0])[..], std::slice::from_ref(first));
        let [own, _] = model.score(&batch.samples, parts, self.stage.micro_batch_tokens)?;
        let gaps: Vec<f64> =
            own.iter().flatten().zip(batch.sampler[first.clone()].iter().flatten()).map(|(a, b)| (a - b).abs()).collect();
        let (mean, most) = (gaps.iter().sum::<f64>() / gaps.len().max(1) as f64, gaps.iter().copied().fold(0.0, f64::max));
        let (agreement, limit) = engine.tolerances();
        if mean > limit {
            return Err(engine.error(format!(
                "its log-probabilities are {mean:.3} nats from the trainer's on average, more than max_difference {limit}: it \
                 does not run this policy, or gives log-probabilities before the temperature"
            )));
        }
        Ok(most <= agreement)
    }

    /// Whether log-probabilities of the old policy are read.
    fn reads_old(&self) -> bool {
        let o = &self.stage.objective;
        o.updates() > 1
            || o.requires(Field::Old)
            || o.requires(Field::Sampler)
            || o.reward_kl.is_some()
            || o.token_rewards.is_some()
            || o.process_rewards.is_some()
    }

    /// Advantages, and which completions the loss keeps.
    fn attribute(&mut self, batch: &mut Batch, factor: f64) -> Result<Map<String, Value>, TrainError> {
        let mut figures = Map::new();
        let options = &self.stage.objective;
        if options.process_rewards.is_some() {
            figures = self.attribute_process(batch, factor)?;
        } else if let Some(advantages) = options.credit() {
            let found = advantages.credit(batch, options.reward_kl.as_ref(), options.turn_rewards.unwrap_or(0.0))?;
            (batch.credit, batch.returns) = (Some(found.credit), found.returns);
            batch.kept.iter_mut().zip(found.kept).for_each(|(kept, also)| *kept &= also);
        }
        if options.mask_truncated {
            batch.kept.iter_mut().zip(&batch.truncated).for_each(|(kept, cut)| *kept &= !cut);
        }
        Ok(figures)
    }

    /// Runs to the end: metrics after each step, a checkpoint into `folder` every `checkpoint_every` steps, and `each` after
    /// every step for whoever wants to look on. Where a server does not answer, a checkpoint is written before the error is
    /// returned.
    ///
    /// # Errors
    /// As [`OnlineRun::next_step`]; files that cannot be written.
    pub fn run(
        &mut self,
        metrics: &mut Metrics,
        folder: &Path,
        progress: &Progress,
        each: impl FnMut(&StepMetrics),
    ) -> Result<(), TrainError> {
        self.follow(metrics, folder, progress, each)
    }
}
steps!(OnlineRun);

impl Stage<PolicyGradientOptions> {
    /// Checks every option, and whether the stage can sample from these prompts and rate their completions.
    ///
    /// # Errors
    /// As [`Stage::check`]; no prompts; a reward that needs a world or a truth where there is none, or a truth that it cannot
    /// read, with the prompt's row.
    pub fn check_prompts(&self, prompts: &[PromptRow], environment: &Environment) -> Result<(), TrainError> {
        self.check()?;
        self.check_rewards((&self.objective.rollout, &self.objective.rewards), prompts, environment)?;
        let mixes = self.objective.credit().is_some_and(|c| c.reads_turns());
        for (key, reads) in [("advantages", mixes), ("turn_rewards", self.objective.turn_rewards.is_some())] {
            if reads {
                self.check_turn_rewards(key, prompts, environment)?;
            }
        }
        Ok(())
    }
}
