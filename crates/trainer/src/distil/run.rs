//! A stage that distils, in motion.
use super::options::DistilOptions;
use super::pass::{aligned, distilled};
use crate::error::TrainError;
use crate::follow::{Steps, steps};
use crate::metrics::{Metrics, StepMetrics};
use crate::online::{Environment, PromptRow, sample};
use crate::optimiser::clipped_step;
use crate::progress::Progress;
use crate::schedule::learning_rate;
use crate::stage::Stage;
use crate::step::Store;
use dfdx::prelude::*;
use serde_json::{Map, Value};
use std::path::Path;
use std::time::Instant;
use tropism_core::Diagnostics;
use tropism_credit::Distillation;
use tropism_data::batches::batches;
use tropism_data::order::Order;
use tropism_data::stream::Stream;
use tropism_data::tokens::TokenSample;
use tropism_lm::{Answer, Decoder, Dims};
use tropism_ops::{AdamW, Scalar, alloc_grads, tape_into};

/// What a stage distils on.
#[derive(Clone, Copy)]
pub enum DistilSource<'a> {
    /// completions of the data: off policy
    Rows(&'a [TokenSample]),
    /// prompts that the policy answers in each step, and what ends its answers: on policy
    Prompts(&'a [PromptRow], &'a Environment<'a>),
}

impl DistilSource<'_> {
    /// Number of rows or prompts.
    pub fn len(&self) -> usize {
        match self {
            DistilSource::Rows(rows) => rows.len(),
            DistilSource::Prompts(prompts, _) => prompts.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A stage that distils a teacher made of two models.
pub struct DistilRun<'a, M: Dims, E: Dtype> {
    pub(super) stage: &'a Stage<DistilOptions>,
    pub(super) source: DistilSource<'a>,
    pub(super) policy: Decoder<M, E>,
    /// favoured and other
    teachers: [Decoder<M, E>; 2],
    pub(super) optimiser: AdamW<E>,
    grads: Store<E>,
    pub(super) order: Order,
    pub(super) rollouts: Stream,
    pub(super) step: usize,
    pub(super) tokens: usize,
}

/// Figures that are means over a step's distilled tokens. `kl/…` are those of the policy to the teacher, and to the two models
/// that it is made of, in nats.
const BY_TOKEN: [&str; 7] =
    ["strength", "total_variation", "expected_reward", "teacher_distance", "kl/teacher", "kl/favoured", "kl/other"];

/// What a step comes to.
#[derive(Default)]
struct Sums {
    loss: f64,
    weight: f64,
    tokens: usize,
    diagnostics: Diagnostics,
    /// over all distilled tokens, by the names of [`BY_TOKEN`]
    by_token: [f64; 7],
    /// number of these
    distilled: usize,
}

impl<'a, M: Dims, E: Scalar> DistilRun<'a, M, E>
where
    Cpu: Device<E>,
{
    /// Starts a stage from `policy`, with the adapter that the stage asks for; `teachers` are the favoured and the other model.
    ///
    /// # Errors
    /// Bad options, no rows, rows where the stage samples or prompts where it does not, models of different vocabularies.
    pub fn new(
        stage: &'a Stage<DistilOptions>,
        source: DistilSource<'a>,
        policy: Decoder<M, E>,
        teachers: [Decoder<M, E>; 2],
        seed: u64,
    ) -> Result<Self, TrainError> {
        stage.check()?;
        let policy = stage.adapt(policy, seed)?;
        let shuffle = stage.shuffle || matches!(source, DistilSource::Prompts(..));
        let order = Order::new(source.len().max(1), seed, shuffle)?;
        let rollouts = stage.stream(seed, "rollouts");
        Self::assemble(stage, source, policy, teachers, order, rollouts)
    }

    pub(super) fn assemble(
        stage: &'a Stage<DistilOptions>,
        source: DistilSource<'a>,
        mut policy: Decoder<M, E>,
        mut teachers: [Decoder<M, E>; 2],
        order: Order,
        rollouts: Stream,
    ) -> Result<Self, TrainError> {
        let refuse = |key, problem: String| Err(TrainError::Config { stage: stage.name.clone(), key, problem });
        if source.is_empty() {
            return refuse("distil", "has no completions or prompts to learn from; look at the audit of the data".into());
        }
        if stage.objective.on_policy() != matches!(source, DistilSource::Prompts(..)) {
            return refuse("rollout", "and what there is to learn from do not go together".into());
        }
        let vocab = policy.config().sizes.vocab;
        for (key, teacher) in ["favoured", "other"].into_iter().zip(&mut teachers) {
            let found = teacher.config().sizes.vocab;
            if found != vocab {
                return refuse(
                    key,
                    format!("has a vocabulary of {found}, the policy one of {vocab}; they must be the same"),
                );
            }
            teacher.precision = stage.precision.into();
        }
        policy.precision = stage.precision.into();
        policy.checkpointing = stage.gradient_checkpointing;
        let optimiser = stage.optimiser();
        Ok(DistilRun { stage, source, policy, teachers, optimiser, grads: None, order, rollouts, step: 0, tokens: 0 })
    }

    /// Steps of the whole stage.
    pub fn total(&self) -> usize {
        self.stage.steps(self.source.len())
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

    /// Ends the stage.
    pub fn into_policy(self) -> Decoder<M, E> {
        self.policy
    }

    /// The next step; nothing once the stage is complete.
    ///
    /// # Errors
    /// A prompt that cannot be answered, a loss or gradient that is not finite; each named.
    pub fn next_step(&mut self) -> Result<Option<StepMetrics>, TrainError> {
        let total = self.total();
        if self.step >= total {
            return Ok(None);
        }
        let lr = self.stage.learning_rate * learning_rate(self.stage.schedule, self.step, total, self.stage.warmup(total));
        self.stage.at_step(&mut self.rollouts, "rollouts", self.step);
        let picked = self.order.batch(self.stage.batch_size);
        let clock = Instant::now();
        let (samples, mut figures) = self.samples(&picked)?;
        if self.stage.objective.on_policy() {
            figures.insert("time/rollout".into(), clock.elapsed().as_secs_f64().into());
        }
        let samples = aligned(samples, self.stage.objective.alignment);
        let sums = self.accumulate(&samples)?;
        let grad_norm = self.update(&samples, lr, sums.weight)?;
        self.step += 1;
        self.tokens += sums.tokens;
        put(&sums, &mut figures);
        let at = self.order.state();
        Ok(Some(StepMetrics {
            stage: self.stage.name.clone(),
            step: self.step,
            epoch: at.epoch as f64 + at.position as f64 / at.rows as f64,
            loss: sums.loss / sums.weight.max(1.0),
            grad_norm,
            learning_rate: lr,
            num_tokens: self.tokens,
            figures,
        }))
    }

    /// The completions of a step, and the figures of those that were sampled.
    fn samples(&mut self, picked: &[usize]) -> Result<(Vec<TokenSample>, Map<String, Value>), TrainError> {
        let mut figures = Map::new();
        let (prompts, environment, rollout) = match (self.source, &self.stage.objective.rollout) {
            (DistilSource::Prompts(prompts, environment), Some(rollout)) => (prompts, environment, rollout),
            (DistilSource::Rows(rows), _) => return Ok((picked.iter().map(|&r| rows[r].clone()).collect(), figures)),
            _ => return Ok((vec![], figures)),
        };
        let asked: Vec<&[u32]> = picked.iter().map(|&row| prompts[row].tokens.as_slice()).collect();
        let answers = sample(&self.policy, rollout, environment, (&asked, &[]), self.rollouts.bits(), &mut |_, _, _| {})?;
        let all = || answers.iter().flatten();
        let n = all().count().max(1) as f64;
        let tokens: usize = all().map(|a| a.tokens.len()).sum();
        let cut = all().filter(|a| !a.finished()).count();
        figures.insert("completions/mean_length".into(), (tokens as f64 / n).into());
        figures.insert("completions/clipped_ratio".into(), (cut as f64 / n).into());
        let of = |(&row, group): (&usize, &Vec<Answer>)| {
            let PromptRow { source, tokens, .. } = &prompts[row];
            let one = |a: &Answer| TokenSample {
                source: source.clone(),
                prompt: tokens.clone(),
                completion: a.tokens.clone(),
                given: vec![],
            };
            group.iter().map(one).collect::<Vec<_>>()
        };
        Ok((picked.iter().zip(&answers).flat_map(of).collect(), figures))
    }

    /// Adds the gradients of all samples to the store.
    fn accumulate(&mut self, samples: &[TokenSample]) -> Result<Sums, TrainError> {
        let mut sums = Sums::default();
        let loss = &self.stage.objective.loss;
        let (figure, whole) = (loss.distillation()?, samples.len() as f64);
        let lengths: Vec<usize> = samples.iter().map(TokenSample::len).collect();
        for range in batches(&lengths, Some(self.stage.micro_batch_tokens), usize::MAX)? {
            let part = &samples[range];
            let tape = tape_into(&Cpu::default(), self.grads.take().map_or_else(|| alloc_grads(&self.policy), Ok)?);
            let found = distilled(&self.policy, &self.teachers, part, loss, tape).map_err(|e| self.named(e, part))?;
            sums.loss += found.terms.values().iter().sum::<f64>();
            sums.weight += found.terms.weight();
            sums.tokens += found.tokens;
            sums.diagnostics.extend(&found.terms.diagnostics)?;
            sums.add(&figure, &found.found, loss.beta);
            self.grads = Some(found.terms.sum_over(&[whole])?.try_backward()?);
        }
        Ok(sums)
    }

    fn update(&mut self, samples: &[TokenSample], lr: f64, weight: f64) -> Result<f64, TrainError> {
        let Some(mut grads) = self.grads.take().filter(|_| weight > 0.0) else { return Ok(0.0) };
        let named = || samples.iter().map(|s| s.source.to_string()).collect::<Vec<_>>().join("; ");
        let (parts, at) = ((&mut self.policy, &mut self.optimiser), (self.stage.name.as_str(), self.step + 1));
        let norm = clipped_step(parts, &mut grads, (lr, weight, self.stage.max_grad_norm), at, named)?;
        self.grads = Some(grads);
        Ok(norm)
    }

    /// Puts stage, step and the row's source into an error about a value.
    fn named(&self, e: TrainError, samples: &[TokenSample]) -> TrainError {
        match e.not_finite() {
            None => e,
            Some((what, row, value)) => TrainError::NotFinite {
                stage: self.stage.name.clone(),
                step: self.step + 1,
                row: samples.get(row).map_or_else(String::new, |s| s.source.to_string()),
                what: what.to_owned(),
                value,
            },
        }
    }

    /// Runs to the end: metrics after each step, a checkpoint into `folder` every `checkpoint_every` steps, and `each` after
    /// every step for whoever wants to look on.
    ///
    /// # Errors
    /// As [`DistilRun::next_step`]; files that cannot be written.
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
steps!(DistilRun);

impl Sums {
    fn add(&mut self, figure: &Distillation, tokens: &[tropism_credit::DistilToken], beta: f64) {
        for token in tokens {
            let ([favoured, other], reward) = (token.kl_to_models(), beta * token.contrast());
            let (strength, variation) = (token.strength(), token.total_variation());
            let parts = [strength, variation, reward, figure.distance(token), token.kl_to_teacher(), favoured, other];
            self.by_token.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part);
        }
        self.distilled += tokens.len();
    }
}

/// Figures of a step: means over completions, and over tokens.
fn put(sums: &Sums, figures: &mut Map<String, Value>) {
    for (name, _) in sums.diagnostics.iter() {
        if let Some(mean) = sums.diagnostics.mean(name) {
            figures.insert(name.to_owned(), mean.into());
        }
    }
    for (name, sum) in BY_TOKEN.into_iter().zip(sums.by_token) {
        figures.insert(name.into(), (sum / sums.distilled.max(1) as f64).into());
    }
}
