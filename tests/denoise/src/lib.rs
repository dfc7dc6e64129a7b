//! A small denoiser of points in the plane, trained and then aligned with preferences by Diffusion-DPO, with `tropism-diffusion` as the
//! only dependency.
//!
//! [`pretrain`] fits a network to eight Gaussians on a circle; [`align`] has it generate pairs, prefers the member further right, and
//! fine-tunes it on them; [`look`] says where its samples lie.

use tropism_diffusion::Stream;
use tropism_diffusion::denoiser::{Condition, DenoiserError, Mlp, MlpConfig};
use tropism_diffusion::figures::{Estimate, mean_interval};
use tropism_diffusion::objectives::{DiffusionDpo, diffusion_dpo};
use tropism_diffusion::prediction::Prediction;
use tropism_diffusion::schedule::{BetaSchedule, NoiseSchedule};
use tropism_diffusion::train::{Preferences, Process, TrainConfig, Training, denoising, pair_errors, rows_of};
use tropism_diffusion::worlds::{Ideal, Mixture, World, draw_many};

/// Pairs or samples of a step.
const BATCH: usize = 256;
/// Moves of the sampler.
const MOVES: usize = 20;

/// The density, the way from it to noise, and a seed.
#[derive(Clone, Debug)]
pub struct Setting {
    /// eight Gaussians, rewarded to the right
    pub world: Mixture,
    /// a linear schedule of 100 times; the network predicts noise
    pub process: Process,
    /// of everything random
    pub seed: u64,
}

impl Setting {
    /// RING-8.
    ///
    /// # Errors
    /// None that depends on the seed.
    pub fn new(seed: u64) -> Result<Self, DenoiserError> {
        let schedule = NoiseSchedule::new(BetaSchedule::Linear, 100)?;
        Ok(Setting { world: Mixture::ring(8, 1.0, 0.08), process: Process::diffusion(schedule, Prediction::Noise), seed })
    }
}

/// A network that knows the density.
///
/// # Errors
/// When training leaves the numbers.
pub fn pretrain(setting: &Setting, steps: u64) -> Result<Mlp<f32>, DenoiserError> {
    let config = TrainConfig { steps, lr: 2e-3, end_lr: Some(4e-5), seed: setting.seed, ..TrainConfig::default() };
    let mut training = Training::new(Mlp::new(&MlpConfig::default(), setting.seed)?, config)?;
    let none = Condition::none();
    training.run(
        |model, stream, tape| {
            let data = rows_of(&draw_many(&setting.world, BATCH, stream).0, 2)?;
            denoising(model, &setting.process, (&data, &none), stream, tape)
        },
        |_| {},
    )?;
    Ok(training.into_model())
}

/// The network after Diffusion-DPO on 4000 pairs of its own samples.
///
/// # Errors
/// When training leaves the numbers.
pub fn align(setting: &Setting, base: &Mlp<f32>, beta: f64, steps: u64) -> Result<Mlp<f32>, DenoiserError> {
    let (none, stream) = (Condition::none(), &mut Stream::new(setting.seed, 1));
    let samples = setting.process.sample(base, &none, 8000, MOVES, stream)?;
    let pairs = Preferences::by_reward(&samples, 2, &none, |_, x| setting.world.reward(x, 0))?;
    let objective = DiffusionDpo::default().with_beta(beta);
    let config = TrainConfig { steps, lr: 1e-4, seed: setting.seed, ..TrainConfig::default() };
    let mut training = Training::new(base.clone(), config)?;
    training.run(
        |model, stream, tape| {
            let batch = pairs.batch(BATCH, stream)?;
            let (policy, reference) = pair_errors((model, base), &setting.process, &batch, true, stream, tape)?;
            Ok(diffusion_dpo(policy, reference, &objective)?)
        },
        |_| {},
    )?;
    Ok(training.into_model())
}

/// Mean reward of 2000 samples, their distance from the centres and how evenly they are spread over them.
///
/// # Errors
/// When the network's output is not finite.
pub fn look(setting: &Setting, model: &Mlp<f32>) -> Result<(Estimate, Ideal), DenoiserError> {
    let samples = setting.process.sample(model, &Condition::none(), 2000, MOVES, &mut Stream::new(setting.seed, 2))?;
    let rewards: Vec<f64> = samples.chunks_exact(2).map(|x| setting.world.reward(x, 0)).collect();
    Ok((mean_interval(&rewards)?, setting.world.compare(&samples)))
}
