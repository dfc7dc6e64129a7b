//! A stage that makes its rows, in motion.
use super::engine::Remote;
use super::figures::{Times, completions, rewards};
use super::fresh::FreshOptions;
use super::fresh_rows::Pools;
use super::gather::{Environment, Gatherer, Group, PromptRow};
use super::replay::Replay;
use crate::constants::reads_baseline;
use crate::error::TrainError;
use crate::follow::{Steps, steps};
use crate::metrics::{Metrics, StepMetrics};
use crate::progress::Progress;
use crate::reference::reference_logps;
use crate::rows::Rows;
use crate::run::StageRun;
use crate::schedule::learning_rate;
use crate::score::score_samples;
use crate::stage::{Precision, Stage};
use crate::step::Store;
use dfdx::prelude::*;
use serde_json::{Map, Value};
use std::path::Path;
use std::time::Instant;
use tropism_data::order::Order;
use tropism_data::stream::Stream;
use tropism_data::tokens::TokenSample;
use tropism_lm::{Answer, Decoder, Dims, LanguageHeads};
use tropism_objectives::Objective;
use tropism_ops::{AdamW, MomentFormat, Scalar};

/// A stage that samples, rates, makes rows and learns from them by a loss on rows, step by step.
pub struct FreshRun<'a, M: Dims, E: Dtype> {
    pub(super) stage: &'a Stage<FreshOptions>,
    pub(super) prompts: &'a [PromptRow],
    pub(super) environment: Environment<'a>,
    pub(super) policy: Decoder<M, E>,
    /// what is trained in the policy's place where the stage has heads; the policy is then their even mix
    pub(super) heads: Option<LanguageHeads<M, E>>,
    pub(super) reference: Option<Decoder<M, E>>,
    pub(super) optimiser: AdamW<E>,
    pub(super) grads: Store<E>,
    pub(super) order: Order,
    pub(super) rollouts: Stream,
    /// pairs of earlier rounds, where the stage keeps some
    pub(super) replay: Option<Replay>,
    pub(super) step: usize,
    pub(super) tokens: usize,
    /// the server that writes completions, where it is not this program
    pub(super) engine: Option<Remote>,
}

impl<'a, M: Dims, E: Scalar> FreshRun<'a, M, E>
where
    Cpu: Device<E>,
{
    /// Starts a stage from `policy`, with the adapter that the stage asks for. A reference is needed exactly when the loss, or
    /// the way its rows are made, reads one.
    ///
    /// # Errors
    /// Bad options, no prompts, a reference too many or too few, a truth or a world that a reward misses.
    pub fn new(
        stage: &'a Stage<FreshOptions>,
        prompts: &'a [PromptRow],
        policy: Decoder<M, E>,
        reference: Option<Decoder<M, E>>,
        environment: Environment<'a>,
        seed: u64,
    ) -> Result<Self, TrainError> {
        stage.check_prompts(prompts, &environment)?;
        let policy = stage.adapt(policy, seed)?;
        let order = Order::new(prompts.len(), seed, stage.shuffle)?;
        let rollouts = stage.stream(seed, "rollouts");
        let mut run = Self::assemble(stage, prompts, policy, reference, environment, order, rollouts)?;
        if let Some(options) = &stage.objective.heads {
            let count = stage.objective.aspects().count();
            run.set_heads(LanguageHeads::new(&run.policy, count, options.noise, seed)?)?;
        }
        Ok(run)
    }

    /// Takes the heads, and their even mix as the policy.
    pub(super) fn set_heads(&mut self, mut heads: LanguageHeads<M, E>) -> Result<(), TrainError> {
        heads.trunk_mut().precision = self.stage.precision.into();
        heads.trunk_mut().checkpointing = self.stage.gradient_checkpointing;
        self.policy = heads.mixed(&vec![1.0; heads.len()])?;
        self.heads = Some(heads);
        Ok(())
    }

    pub(super) fn assemble(
        stage: &'a Stage<FreshOptions>,
        prompts: &'a [PromptRow],
        mut policy: Decoder<M, E>,
        mut reference: Option<Decoder<M, E>>,
        environment: Environment<'a>,
        order: Order,
        rollouts: Stream,
    ) -> Result<Self, TrainError> {
        if stage.objective.needs_reference() != reference.is_some() {
            let problem = format!("{} and the reference do not go together", stage.objective.objective.name());
            return Err(TrainError::Config { stage: stage.name.clone(), key: "reference", problem });
        }
        stage.check_models(&stage.objective.rewards, &environment)?;
        policy.precision = stage.precision.into();
        reference.iter_mut().for_each(|r| r.precision = stage.precision.into());
        let mut optimiser = AdamW::new(stage.weight_decay);
        (optimiser.betas, optimiser.eps) = (stage.betas, stage.eps);
        if stage.optimizer_state == Precision::Bf16 {
            optimiser.format = MomentFormat::Bf16;
        }
        let (heads, grads, step, tokens) = (None, None, 0, 0);
        let engine = Remote::of(&stage.objective.rollout);
        let replay = Replay::of(stage, order.state().seed);
        Ok(FreshRun {
            stage,
            prompts,
            environment,
            policy,
            heads,
            reference,
            optimiser,
            grads,
            order,
            rollouts,
            replay,
            step,
            tokens,
            engine,
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
        &self.policy
    }

    /// The heads of all objectives, where the stage has some.
    pub fn heads(&self) -> Option<&LanguageHeads<M, E>> {
        self.heads.as_ref()
    }

    /// Ends the stage.
    pub fn into_policy(self) -> Decoder<M, E> {
        self.policy
    }

    /// The next step; nothing once the stage is complete.
    ///
    /// # Errors
    /// A prompt that cannot be answered, a reward that cannot be computed, a loss or gradient that is not finite; each named.
    pub fn next_step(&mut self) -> Result<Option<StepMetrics>, TrainError> {
        let total = self.total();
        if self.step >= total {
            return Ok(None);
        }
        let lr = self.stage.learning_rate * learning_rate(self.stage.schedule, self.step, total, self.stage.warmup(total));
        let (o, mut times) = (&self.stage.objective, Times::default());
        let gatherer = Gatherer {
            rollout: &o.rollout,
            rewards: &o.rewards,
            dynamic_sampling: None,
            prompts: self.prompts,
            environment: self.environment,
            engine: self.engine.as_ref(),
            groups: self.stage.batch_size,
            plain: o.directions.as_ref().is_some_and(|d| self.step < d.plain_steps),
            turn_rewards: false,
        };
        self.stage.at_step(&mut self.rollouts, "rollouts", self.step);
        let before = (self.order.state(), self.rollouts.state());
        let picked = self.order.batch(self.stage.batch_size);
        let seed = self.rollouts.bits();
        let mut pools = Pools::default();
        if o.policy_samples() {
            let ready = gatherer.sync(&self.policy, &mut times);
            pools.ours = match ready.and_then(|()| gatherer.round(&self.policy, &picked, seed, &mut times)) {
                Ok(ours) => ours,
                Err(e) => {
                    (self.order, self.rollouts) = (Order::restore(&before.0)?, Stream::restore(&before.1));
                    return Err(e);
                }
            };
        }
        if let Some(reference) = self.reference.as_ref().filter(|_| o.reference_samples()) {
            pools.theirs = gatherer.round(reference, &picked, self.rollouts.bits(), &mut times)?;
        }
        if o.data_completions {
            pools.given = gatherer.given(&picked)?;
        }
        for groups in [&mut pools.ours, &mut pools.theirs, &mut pools.given] {
            self.rate_by_policy(groups, &gatherer, &mut times)?;
        }
        let rows = o.rows(self.prompts, &pools);
        let mut figures = Map::new();
        let groups: Vec<&Group> = if o.policy_samples() { &pools.ours } else { &pools.theirs }.iter().collect();
        rewards(&o.rewards, &groups, &mut figures);
        completions(&groups, gatherer.rollout, &mut figures);
        figures.insert("rows".into(), rows.len().into());
        let rows = match &mut self.replay {
            Some(replay) => replay.mix(rows, &mut figures),
            None => rows,
        };
        // a loss that compares answers of different prompts learns nothing from one
        let enough = !rows.is_empty() && (!reads_baseline(&o.objective) || rows.mismatched().is_some());
        let [loss, grad_norm] = if enough { self.learn(&rows, lr, &mut times, &mut figures)? } else { [0.0; 2] };
        times.put(&mut figures);
        self.step += 1;
        self.replay.iter_mut().for_each(|r| r.end(self.step));
        self.engine.iter().for_each(Remote::forget);
        if o.reference_every > 0 && self.step.is_multiple_of(o.reference_every) {
            self.reference =
                Some(if self.policy.adapter().is_some() { self.policy.clone().merged()? } else { self.policy.clone() });
        }
        let at = self.order.state();
        Ok(Some(StepMetrics {
            stage: self.stage.name.clone(),
            step: self.step,
            epoch: at.epoch as f64 + at.position as f64 / at.rows as f64,
            loss,
            grad_norm,
            learning_rate: lr,
            num_tokens: self.tokens,
            figures,
        }))
    }

    /// Fills in the policy's own reward, where it is asked for.
    fn rate_by_policy(&self, groups: &mut [Group], gatherer: &Gatherer, times: &mut Times) -> Result<(), TrainError> {
        let own: Vec<(usize, bool)> = self.stage.objective.own_rewards().map(|(k, o)| (k, o.per_token)).collect();
        let Some(reference) = self.reference.as_ref().filter(|_| !own.is_empty() && !groups.is_empty()) else {
            return Ok(());
        };
        let clock = Instant::now();
        let sample = |g: &Group, a: &Answer| {
            let row = &self.prompts[g.prompt];
            TokenSample {
                source: row.source.clone(),
                prompt: row.tokens.clone(),
                completion: a.tokens.clone(),
                given: a.given.clone(),
            }
        };
        let samples: Vec<TokenSample> = groups.iter().flat_map(|g| g.answers.iter().map(|a| sample(g, a))).collect();
        let most = self.stage.micro_batch_tokens;
        let (ours, theirs) = (score_samples(&self.policy, &samples, most)?, score_samples(reference, &samples, most)?);
        let mut ratios = ours.iter().zip(&theirs).map(|(a, b)| (a.logps - b.logps, a.tokens.max(1) as f64));
        for group in groups {
            for (ratings, (ratio, tokens)) in group.ratings.iter_mut().zip(&mut ratios) {
                for &(place, per_token) in &own {
                    ratings[place].score = Some(if per_token { ratio / tokens } else { ratio });
                }
            }
            group.sums = gatherer.sums(group.prompt, &group.ratings)?;
        }
        times.reward += clock.elapsed();
        Ok(())
    }

    /// One update from all rows: loss and norm of the gradient.
    fn learn(
        &mut self,
        rows: &Rows,
        lr: f64,
        times: &mut Times,
        figures: &mut Map<String, Value>,
    ) -> Result<[f64; 2], TrainError> {
        let stage = self.stage.with_objective(self.stage.objective.objective.clone());
        stage.check_rows(rows)?;
        let clock = Instant::now();
        let wanted = self.reference.as_ref().filter(|_| stage.objective.needs_reference());
        let scored =
            wanted.map(|r| reference_logps(r, rows, &stage.objective, stage.micro_batch_tokens, None)).transpose()?;
        times.reference = clock.elapsed();
        let clock = Instant::now();
        let order = Order::new(rows.len(), self.rollouts.state().seed ^ self.step as u64, false)?;
        let mut run = StageRun::assemble(&stage, rows, self.policy.clone(), scored, order);
        std::mem::swap(&mut run.optimiser, &mut self.optimiser);
        (run.grads, run.heads, run.step) = (self.grads.take(), self.heads.take(), self.step);
        let update = run.update(&(0..rows.len()).collect::<Vec<_>>(), lr)?;
        for (name, _) in update.sums.diagnostics.iter() {
            if let Some(mean) = update.sums.diagnostics.mean(name) {
                figures.insert(name.to_owned(), mean.into());
            }
        }
        self.tokens += update.sums.tokens;
        std::mem::swap(&mut run.optimiser, &mut self.optimiser);
        self.grads = run.grads.take();
        match run.heads.take() {
            Some(heads) => self.set_heads(heads)?,
            None => self.policy = run.into_policy(),
        }
        times.update = clock.elapsed();
        Ok([update.sums.loss / update.sums.weight, update.grad_norm])
    }

    /// Runs to the end; as [`OnlineRun::run`](super::OnlineRun::run).
    ///
    /// # Errors
    /// As [`FreshRun::next_step`]; files that cannot be written.
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
steps!(FreshRun);

impl Stage<FreshOptions> {
    /// What has to be the same for a checkpoint to go on.
    pub(super) fn kept(&self) -> Self {
        let mut stage = self.clone();
        stage.objective.rollout = self.objective.rollout.kept();
        stage
    }

    /// Checks every option, and whether the stage can sample from these prompts and rate their completions.
    ///
    /// # Errors
    /// As [`Stage::check`], and for the rewards as the stages of a policy gradient; a loss that compares rows of which a step
    /// may make more than fit into a micro-batch.
    pub fn check_prompts(&self, prompts: &[PromptRow], environment: &Environment) -> Result<(), TrainError> {
        self.check()?;
        self.check_rewards((&self.objective.rollout, &self.objective.rewards), prompts, environment)?;
        self.check_fresh_split(prompts)?;
        let bare = prompts.iter().find(|p| self.objective.data_completions && p.given.is_empty());
        match bare {
            None => Ok(()),
            Some(row) => {
                let problem = format!("is set, but the data have no completions for the prompt of {}", row.source);
                Err(TrainError::Config { stage: self.name.clone(), key: "data_completions", problem })
            }
        }
    }
}

impl<O> Stage<O> {
    /// The same stage with another objective.
    fn with_objective(&self, objective: Objective) -> Stage {
        Stage {
            name: self.name.clone(),
            stream: None,
            objective,
            init: self.init.clone(),
            reference: None,
            learning_rate: self.learning_rate,
            schedule: self.schedule,
            warmup_ratio: self.warmup_ratio,
            epochs: self.epochs,
            max_steps: self.max_steps,
            shuffle: self.shuffle,
            data_stage: None,
            swap_pairs: false,
            batch_size: self.batch_size,
            micro_batch_tokens: self.micro_batch_tokens,
            precision: self.precision,
            optimizer_state: self.optimizer_state,
            gradient_checkpointing: self.gradient_checkpointing,
            lora: self.lora.clone(),
            freeze: self.freeze.clone(),
            weight_decay: self.weight_decay,
            betas: self.betas,
            eps: self.eps,
            max_grad_norm: self.max_grad_norm,
            checkpoint_every: self.checkpoint_every,
        }
    }
}
