//! Training of one stage, stopped and resumed.
use super::{DenoiseExperiment, DenoiseObjective, DenoiseStage};
use crate::error::TrainError;
use crate::metrics::{Metrics, StepMetrics};
use crate::progress::Progress;
use serde_json::{Map, Value};
use std::path::Path;
use tropism_diffusion::Stream;
use tropism_diffusion::denoiser::{Condition, Denoiser, DenoiserError, Network, one_hot};
use tropism_diffusion::objectives::{DiffusionInput, DiffusionKind, DiffusionObjective};
use tropism_diffusion::train::{Loss, Preferences, Process, StepFigures, Traced, Training, denoising, pair_errors, rows_of};
use tropism_diffusion::worlds::{AnyWorld, World, draw_many};

/// A stage in training.
#[derive(Debug)]
pub struct DenoiseRun<'a> {
    experiment: &'a DenoiseExperiment,
    place: usize,
    world: AnyWorld,
    process: Process,
    /// the policy at the start of the stage
    reference: Network<f32>,
    /// of a stage that learns preferences
    pairs: Option<Preferences<f32>>,
    training: Training<Network<f32>, f32>,
}

/// One-hot labels, for a network that reads them.
pub(super) fn told(model: &Network<f32>, labels: &[usize]) -> Result<Condition<f32>, DenoiserError> {
    Ok(match model.feature_width() {
        0 => Condition::none(),
        n => Condition::features(one_hot(labels, n)?),
    })
}

impl<'a> DenoiseRun<'a> {
    /// Starts stage number `place` from `policy`; a stage that learns preferences has it draw its pairs first.
    ///
    /// # Errors
    /// An experiment that does not fit together; pairs that are all ties.
    pub fn start(experiment: &'a DenoiseExperiment, place: usize, policy: Network<f32>) -> Result<Self, TrainError> {
        Self::make(experiment, place, policy, None)
    }

    /// Goes on from a checkpoint that [`run`](Self::run) wrote; `policy` is what the stage started from.
    ///
    /// # Errors
    /// As [`start`](Self::start); a damaged checkpoint, or one of other options.
    pub fn restore(
        experiment: &'a DenoiseExperiment,
        place: usize,
        policy: Network<f32>,
        checkpoint: &Path,
    ) -> Result<Self, TrainError> {
        Self::make(experiment, place, policy, Some(checkpoint))
    }

    fn make(
        experiment: &'a DenoiseExperiment,
        place: usize,
        policy: Network<f32>,
        checkpoint: Option<&Path>,
    ) -> Result<Self, TrainError> {
        let (world, process) = experiment.build()?;
        let config = experiment.training(place);
        let pairs = match experiment.stages[place].objective {
            DenoiseObjective::Denoising => None,
            DenoiseObjective::Pairs(_) => Some(draw_pairs(experiment, place, (&world, &process), &policy)?),
        };
        let training = match checkpoint {
            None => Training::new(policy.clone(), config)?,
            Some(path) => Training::restore(policy.clone(), config, path)?,
        };
        Ok(DenoiseRun { experiment, place, world, process, reference: policy, pairs, training })
    }

    fn stage(&self) -> &'a DenoiseStage {
        &self.experiment.stages[self.place]
    }

    /// Steps made.
    pub fn done(&self) -> usize {
        self.training.done() as usize
    }

    /// Pairs that the stage learns from; 0 for pre-training.
    pub fn pairs(&self) -> usize {
        self.pairs.as_ref().map_or(0, Preferences::len)
    }

    /// The policy at the end.
    pub fn into_policy(self) -> Network<f32> {
        self.training.into_model()
    }

    /// Makes the steps that are left, with a line of metrics and a checkpoint now and then; `each` is called after every step and ends the
    /// run early by `false`.
    ///
    /// # Errors
    /// A loss or gradient that is not finite; files that cannot be written.
    pub fn run(
        &mut self,
        metrics: &mut Metrics,
        checkpoint: &Path,
        progress: &Progress,
        mut each: impl FnMut(usize) -> bool,
    ) -> Result<(), TrainError> {
        let stage = self.stage();
        while !self.training.is_done() {
            let (world, process, reference) = (&self.world, &self.process, &self.reference);
            let pairs = self.pairs.as_ref();
            let figures = self.training.step(|model, stream, tape| match (&stage.objective, pairs) {
                (DenoiseObjective::Pairs(objective), Some(pairs)) => {
                    preference(objective, (model, reference), process, (pairs, stage), stream, tape)
                }
                _ => {
                    let (data, labels) = draw_many(world, stage.batch_size, stream);
                    let condition = told(model, &labels)?;
                    denoising(model, process, (&rows_of(&data, model.width())?, &condition), stream, tape)
                }
            })?;
            let (done, last) = (self.done(), self.training.is_done());
            let line = line(stage, &figures);
            progress.step(&line);
            if done.is_multiple_of(stage.logging_steps) || last {
                metrics.write(&line)?;
            }
            if done.is_multiple_of(stage.checkpoint_every) || last {
                self.training.save(checkpoint)?;
            }
            if !each(done) {
                return Ok(());
            }
        }
        progress.finish();
        Ok(())
    }
}

/// Pairs of the policy's own samples, both of one label, ordered by the exact reward.
fn draw_pairs(
    experiment: &DenoiseExperiment,
    place: usize,
    (world, process): (&AnyWorld, &Process),
    policy: &Network<f32>,
) -> Result<Preferences<f32>, TrainError> {
    let n = experiment.stages[place].pairs;
    let label = |pair: usize| pair % world.labels();
    let labels: Vec<usize> = (0..2 * n).map(|i| label(i / 2)).collect();
    let stream = &mut Stream::new(experiment.stage_seed(place), 1);
    let samples = process.sample(policy, &told(policy, &labels)?, 2 * n, experiment.evaluation.moves, stream)?;
    let condition = told(policy, &(0..n).map(label).collect::<Vec<_>>())?;
    Ok(Preferences::by_reward(&samples, world.dim(), &condition, |i, x| world.reward(x, label(i / 2)))?)
}

/// The loss of a batch of pairs.
fn preference(
    objective: &DiffusionObjective,
    networks: (&Network<f32>, &Network<f32>),
    process: &Process,
    (pairs, stage): (&Preferences<f32>, &DenoiseStage),
    stream: &mut Stream,
    tape: Traced<f32>,
) -> Result<Loss<f32>, DenoiserError> {
    let batch = pairs.batch(stage.batch_size, stream)?;
    let (policy, reference) = pair_errors(networks, process, &batch, stage.shared_noise, stream, tape)?;
    let input: DiffusionInput<usize, usize, f32, _, _> = match objective.input() {
        DiffusionKind::PolicyPairs => DiffusionInput::PolicyPairs(policy),
        _ => DiffusionInput::Pairs(policy, reference),
    };
    Ok(objective.loss(input)?)
}

/// A line of the metrics.
fn line(stage: &DenoiseStage, figures: &StepFigures) -> StepMetrics {
    let number = |v: f64| serde_json::Number::from_f64(v).map_or(Value::Null, Value::Number);
    let named: Map<String, Value> = figures.diagnostics.iter().map(|(n, v)| ((*n).to_owned(), number(*v))).collect();
    StepMetrics {
        stage: stage.name.clone(),
        step: figures.step as usize + 1,
        epoch: 0.0,
        loss: figures.loss,
        grad_norm: figures.grad_norm,
        learning_rate: figures.lr,
        num_tokens: 0,
        figures: named,
    }
}
