//! Stages of denoisers: pre-train on a world's samples, align on preferences between own samples, measure.
//!
//! A [`DenoiseExperiment`] names a world with exact rewards, a network, the way from data to noise, and stages. [`DenoiseRun`] trains one
//! stage, from the start or from a checkpoint to the same bits; [`measure`] says what its samples are like. Everything random follows
//! from the experiment's seed and the stage's place.
mod config;
mod measure;
mod objective;
mod run;

pub use config::{DenoiseEvaluation, DenoiseExperiment, DenoiseModel, DenoiseStage};
pub use measure::{Measured, measure, measure_data};
pub use objective::DenoiseObjective;
pub use run::DenoiseRun;
pub use tropism_diffusion::denoiser::{Denoiser, Network, load as load_denoiser, save as save_denoiser};
pub use tropism_diffusion::figures::Estimate;
pub use tropism_diffusion::worlds::{AnyWorld, Picture, World as DiffusionWorld};
