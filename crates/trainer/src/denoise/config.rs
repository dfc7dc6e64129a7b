//! The configuration of an experiment with a denoiser.
use super::DenoiseObjective;
use crate::error::TrainError;
use serde::{Deserialize, Serialize};
use tropism_diffusion::denoiser::{Denoiser, Network, NetworkConfig};
use tropism_diffusion::train::{Process, ProcessConfig, TrainConfig};
use tropism_diffusion::worlds::{AnyWorld, World, WorldConfig};

/// An experiment: world, network, stages, evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DenoiseExperiment {
    /// name of the run
    pub name: String,
    /// one line for the list of recipes
    #[serde(default)]
    pub description: String,
    /// seed of every random choice
    #[serde(default)]
    pub seed: u64,
    /// threads; 0 for one
    #[serde(default)]
    pub threads: usize,
    /// where samples and rewards come from
    pub world: WorldConfig,
    /// the network
    pub model: DenoiseModel,
    /// the way from data to noise
    pub process: ProcessConfig,
    /// what is measured after each stage
    #[serde(default)]
    pub evaluation: DenoiseEvaluation,
    /// the stages, in order
    pub stages: Vec<DenoiseStage>,
}

/// `[model]` with a denoiser.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DenoiseModel {
    /// kind and sizes: `[model.denoiser]`
    pub denoiser: NetworkConfig,
}

/// `[evaluation]` of a denoiser.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DenoiseEvaluation {
    /// samples that are measured
    pub samples: usize,
    /// moves of the sampler, here and for a stage's own pairs
    pub moves: usize,
    /// samples that are shown in the report
    pub shown: usize,
}

impl Default for DenoiseEvaluation {
    fn default() -> Self {
        DenoiseEvaluation { samples: 1000, moves: 20, shown: 32 }
    }
}

/// One stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DenoiseStage {
    /// its name in the run's files
    pub name: String,
    /// optimiser steps
    pub max_steps: usize,
    /// learning rate after the warm-up
    pub learning_rate: f64,
    /// learning rate at the end of a cosine; constant when left out
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_learning_rate: Option<f64>,
    /// steps of the warm-up
    #[serde(default)]
    pub warmup_steps: usize,
    /// samples or pairs per step
    #[serde(default = "batch_size")]
    pub batch_size: usize,
    /// pairs that the policy at the start of the stage draws and the world's reward orders
    #[serde(default = "pairs")]
    pub pairs: usize,
    /// whether both members of a pair are noised alike
    #[serde(default = "yes")]
    pub shared_noise: bool,
    /// most norm of the gradient
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_grad_norm: Option<f64>,
    /// decoupled weight decay of matrices
    #[serde(default)]
    pub weight_decay: f64,
    /// steps between lines of metrics
    #[serde(default = "logging_steps")]
    pub logging_steps: usize,
    /// steps between checkpoints
    #[serde(default = "checkpoint_every")]
    pub checkpoint_every: usize,
    /// what is learnt
    pub objective: DenoiseObjective,
}

fn batch_size() -> usize {
    128
}
fn pairs() -> usize {
    2000
}
fn yes() -> bool {
    true
}
fn logging_steps() -> usize {
    10
}
fn checkpoint_every() -> usize {
    200
}

impl DenoiseExperiment {
    /// World and process, when everything fits together.
    ///
    /// # Errors
    /// The first key that does not fit, with what would.
    pub fn build(&self) -> Result<(AnyWorld, Process), TrainError> {
        let (world, process) = (self.world.build()?, self.process.build()?);
        let network: Network<f32> = Network::new(&self.model.denoiser, 0)?;
        let refuse = |key, problem: String| Err(TrainError::Config { stage: "model".into(), key, problem });
        if network.width() != world.dim() {
            let problem = format!("has samples of {} numbers, those of the world have {}", network.width(), world.dim());
            return refuse("denoiser", problem);
        }
        let labels = if world.labels() > 1 { world.labels() } else { 0 };
        if ![0, labels].contains(&network.feature_width()) {
            return refuse("features", format!("is {}; the world has {labels} labels", network.feature_width()));
        }
        if network.user_width() != 0 {
            return refuse("users", "is for networks of many users; the world has one, so leave it out".into());
        }
        let DenoiseEvaluation { samples, moves, .. } = self.evaluation;
        if samples < 2 * world.labels() || moves == 0 {
            let problem = format!("are {samples} and {moves}; give at least {} and 1", 2 * world.labels());
            return Err(TrainError::Config { stage: "evaluation".into(), key: "samples` and `moves", problem });
        }
        process.moves(moves)?;
        self.check_stages()?;
        Ok((world, process))
    }

    fn check_stages(&self) -> Result<(), TrainError> {
        let refuse = |stage: &DenoiseStage, key, problem: &str| {
            Err(TrainError::Config { stage: stage.name.clone(), key, problem: problem.into() })
        };
        for (i, stage) in self.stages.iter().enumerate() {
            let plain = !stage.name.is_empty() && stage.name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
            if !plain || stage.name == "data" {
                return refuse(stage, "name", "must be made of letters, digits, `-` and `_`, and not be `data`");
            }
            if self.stages[..i].iter().any(|s| s.name == stage.name) {
                return refuse(stage, "name", "is taken by an earlier stage");
            }
            for (key, n) in [
                ("max_steps", stage.max_steps),
                ("batch_size", stage.batch_size),
                ("pairs", stage.pairs),
                ("logging_steps", stage.logging_steps),
                ("checkpoint_every", stage.checkpoint_every),
            ] {
                if n == 0 {
                    return refuse(stage, key, "is 0; it must be at least 1");
                }
            }
            self.training(i).check()?;
            if i == 0 && stage.objective != DenoiseObjective::Denoising {
                return refuse(
                    stage,
                    "objective",
                    "learns preferences of a fresh network; put a `denoising` stage before it",
                );
            }
        }
        match self.stages.is_empty() {
            true => Err(TrainError::Config { stage: self.name.clone(), key: "stages", problem: "are missing".into() }),
            false => Ok(()),
        }
    }

    /// Options of stage `i`'s optimiser.
    pub(super) fn training(&self, i: usize) -> TrainConfig {
        let s = &self.stages[i];
        TrainConfig {
            steps: s.max_steps as u64,
            lr: s.learning_rate,
            end_lr: s.end_learning_rate,
            warmup_steps: s.warmup_steps as u64,
            max_grad_norm: s.max_grad_norm,
            weight_decay: s.weight_decay,
            seed: self.stage_seed(i),
            ..TrainConfig::default()
        }
    }

    /// Seed of stage `i`.
    pub(super) fn stage_seed(&self, i: usize) -> u64 {
        self.seed.wrapping_mul(1_000_003).wrapping_add(i as u64)
    }
}
