//! RING-8 with a small denoiser: eight Gaussians on the unit circle, rewarded by the first coordinate.

use dfdx::prelude::*;
use tropism_diffusion::Stream;
use tropism_diffusion::denoiser::{Condition, Denoiser, DenoiserError, Mlp, MlpConfig, Rows, asked};
use tropism_diffusion::objectives::PairErrors;
use tropism_diffusion::schedule::{BetaSchedule, NoiseSchedule};
use tropism_diffusion::train::{Process, TrainConfig, Training, denoising, errors_at, rows_of};
use tropism_diffusion::worlds::{Mixture, World};

use crate::{Figures, ToyError};

/// The network of these toys; single precision, as denoisers are trained.
pub(crate) type Net = Mlp<f32>;
/// A tape of a training step.
pub(crate) type Traced = tropism_diffusion::train::Traced<f32>;
/// Points, two numbers each.
pub(crate) type Points = Rows<f32>;

/// Times of the schedule.
pub(crate) const TIMES: usize = 100;
/// Samples by which a network is judged.
const JUDGED: usize = 4000;
/// Moves of the sampler.
pub(crate) const MOVES: usize = 20;
/// Rows of a step.
pub(crate) const BATCH: usize = 256;

/// The world, how data become noise, and a network trained on it.
pub(crate) struct Ring {
    seed: u64,
    mixture: Mixture,
    pub(crate) process: Process,
    pub(crate) base: Net,
}

/// What a network's samples are like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judged {
    /// mean of the first coordinate
    pub(crate) reward: f64,
    /// mean distance to the nearest centre
    pub(crate) modedist: f64,
    /// entropy of the nearest centre
    pub(crate) entropy: f64,
    /// share with a positive first coordinate
    pub(crate) right: f64,
}

/// The schedule of 100 times.
pub(crate) fn schedule() -> Result<NoiseSchedule, ToyError> {
    Ok(NoiseSchedule::new(BetaSchedule::Linear, TIMES)?)
}

impl Ring {
    /// A network that predicts noise over the linear schedule of 100 times.
    pub(crate) fn diffusion(seed: u64) -> Result<Self, ToyError> {
        Self::train(seed, Process::diffusion(schedule()?, tropism_diffusion::prediction::Prediction::Noise))
    }

    /// A network that predicts the velocity of a flow; times of pre-training are even, those of `process` in fine-tuning as given.
    pub(crate) fn flow(seed: u64, logit_normal: Option<[f64; 2]>) -> Result<Self, ToyError> {
        let ring = Self::train(seed, Process::flow(None))?;
        Ok(Self { process: Process::flow(logit_normal), ..ring })
    }

    /// 4000 steps of Adam on fresh samples, rate from 2e-3 to 4e-5 by a cosine.
    fn train(seed: u64, process: Process) -> Result<Self, ToyError> {
        let mixture = Mixture::ring(8, 1.0, 0.08);
        let config = TrainConfig { steps: 4000, lr: 2e-3, end_lr: Some(4e-5), seed, ..TrainConfig::default() };
        let mut training = Training::new(Mlp::new(&MlpConfig::default(), seed)?, config)?;
        let condition = Condition::none();
        training.run(
            |model: &Net, stream, tape| {
                let data: Vec<f64> = (0..BATCH).flat_map(|_| mixture.draw(0, stream)).collect();
                denoising(model, &process, (&rows_of(&data, 2)?, &condition), stream, tape)
            },
            |_| (),
        )?;
        Ok(Self { seed, mixture, process, base: training.into_model() })
    }

    /// Stream number `n` of the seed.
    pub(crate) fn stream(&self, n: u64) -> Stream {
        Stream::new(self.seed, 1000 + n)
    }

    /// Options of fine-tuning: Adam at the given rate.
    pub(crate) fn config(&self, steps: u64, lr: f64) -> TrainConfig {
        TrainConfig { steps, lr, seed: self.seed.wrapping_add(77), ..TrainConfig::default() }
    }

    /// Samples of the base, two numbers each.
    pub(crate) fn drawn(&self, n: usize) -> Result<Vec<f64>, ToyError> {
        self.samples(&self.base, n, 1)
    }

    /// Samples of a network by 20 deterministic moves.
    pub(crate) fn samples(&self, model: &Net, n: usize, stream: u64) -> Result<Vec<f64>, ToyError> {
        Ok(self.process.sample(model, &Condition::none(), n, MOVES, &mut self.stream(stream))?)
    }

    /// Judges a network by 4000 new samples.
    pub(crate) fn judge(&self, model: &Net) -> Result<Judged, ToyError> {
        let samples = self.samples(model, JUDGED, 2)?;
        let ideal = self.mixture.compare(&samples);
        let mean = |f: fn(f64) -> f64| samples.chunks(2).map(|x| f(x[0])).sum::<f64>() / JUDGED as f64;
        Ok(Judged {
            reward: mean(|x| x),
            modedist: ideal.mode_distance,
            entropy: ideal.entropy,
            right: mean(|x| f64::from(u8::from(x > 0.0))),
        })
    }

    /// Judges a network and reports reward, distance to the modes and entropy under a name.
    pub(crate) fn report(&self, figures: &mut Figures, name: &str, model: &Net) -> Result<Judged, ToyError> {
        let judged = self.judge(model)?;
        figures.push(format!("reward({name})"), "", judged.reward);
        figures.push(format!("modedist({name})"), "", judged.modedist);
        figures.push(format!("entropy({name})"), "nats", judged.entropy);
        Ok(judged)
    }
}

/// Points as a tensor.
pub(crate) fn points(numbers: &[f64]) -> Result<Points, DenoiserError> {
    rows_of(numbers, 2)
}

/// Some of a list of points.
pub(crate) fn picked(samples: &[f64], at: &[usize]) -> Vec<f64> {
    at.iter().flat_map(|&i| samples[2 * i..2 * i + 2].to_vec()).collect()
}

/// Consecutive samples as pairs, the one with the higher first coordinate first.
pub(crate) fn pairs_by_reward(samples: &[f64]) -> [Vec<f64>; 2] {
    let (mut chosen, mut rejected) = (Vec::new(), Vec::new());
    for pair in samples.chunks(4) {
        let (w, l) = if pair[0] >= pair[2] { (&pair[..2], &pair[2..]) } else { (&pair[2..], &pair[..2]) };
        chosen.extend_from_slice(w);
        rejected.extend_from_slice(l);
    }
    [chosen, rejected]
}

/// `n` of `all` at random.
pub(crate) fn batch(all: usize, n: usize, stream: &mut Stream) -> Vec<usize> {
    (0..n).map(|_| stream.below(all)).collect()
}

/// A network asked for its outputs by samplers and inversions.
pub(crate) fn say(
    process: &Process,
    model: &Net,
) -> impl FnMut(&Points, &[f64]) -> Result<Points, tropism_diffusion::DiffusionError> {
    let (model, scale) = (model.clone(), process.scale());
    move |x, t| asked(&model, &Condition::none(), scale)(x, t)
}

/// Errors of the policy, with the tape, and of the reference, at the same noised points with the same targets.
pub(crate) type Both = (PairErrors<usize, f32, Cpu, Traced>, PairErrors<usize, f32, Cpu>);

/// Errors of pairs at one time per pair; one noise per pair (`shared`) or per member.
pub(crate) fn pair_errors(
    (policy, reference): (&Net, &Net),
    process: &Process,
    [chosen, rejected]: [&[f64]; 2],
    shared: bool,
    stream: &mut Stream,
    tape: Traced,
) -> Result<Both, DenoiserError> {
    let times = process.draw_times(chosen.len() / 2, stream);
    let noise = stream.normals(chosen.len());
    let other = if shared { noise.clone() } else { stream.normals(chosen.len()) };
    let won = process.noise(&points(chosen)?, &points(&noise)?, &times)?;
    let lost = process.noise(&points(rejected)?, &points(&other)?, &times)?;
    let none = Condition::none();
    let ours = PairErrors::new(errors_at(policy, &won, &none, tape)?, errors_at(policy, &lost, &none, Traced::default())?)?;
    let theirs =
        PairErrors::new(errors_at(reference, &won, &none, NoneTape)?, errors_at(reference, &lost, &none, NoneTape)?)?;
    Ok((ours, theirs))
}

/// The network's outputs on a tape, at times of the sampler.
pub(crate) fn outputs(
    model: &Net,
    process: &Process,
    x: &Points,
    times: &[f64],
    tape: Traced,
) -> Result<Rows<f32, Traced>, DenoiserError> {
    let times: Vec<f64> = times.iter().map(|t| t / process.scale()).collect();
    model.predict(x.clone().put_tape(tape), &times, &Condition::none())
}
