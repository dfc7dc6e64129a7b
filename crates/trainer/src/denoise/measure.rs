//! What the samples of a denoiser are like.
use super::DenoiseExperiment;
use super::run::told;
use crate::error::TrainError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tropism_diffusion::Stream;
use tropism_diffusion::denoiser::Network;
use tropism_diffusion::figures::{Estimate, energy_distance, mean_distance, mean_interval, median_distance, mmd, win_rate};
use tropism_diffusion::worlds::{World, draw_many};

/// Figures of a set of samples, and some of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// figures by name: `reward`, `win_rate` over the stage before, `distance` from what the world draws, …
    pub metrics: BTreeMap<String, Estimate>,
    /// exact reward of every sample, for the next stage's win rate
    pub rewards: Vec<f64>,
    /// some of the samples
    pub shown: Vec<Vec<f64>>,
}

/// Samples over which distances between all pairs are taken.
const COMPARED: usize = 400;

/// Streams of the evaluation, apart from those of the stages.
const OURS: u64 = 1 << 32;
const DATA: u64 = OURS + 1;
const OTHERS: u64 = OURS + 2;

/// Measures what the world draws itself: the top that a pre-trained network can reach.
///
/// # Errors
/// As [`measure`].
pub fn measure_data(experiment: &DenoiseExperiment) -> Result<Measured, TrainError> {
    let (world, _) = experiment.build()?;
    let (samples, labels) = draw_many(&world, experiment.evaluation.samples, &mut Stream::new(experiment.seed, OTHERS));
    figures(experiment, &samples, &labels, None)
}

/// Measures a network's samples, drawn from the same noise after every stage; `before` are the rewards of the stage before.
///
/// # Errors
/// A network whose output is not finite.
pub fn measure(
    experiment: &DenoiseExperiment,
    model: &Network<f32>,
    before: Option<&[f64]>,
) -> Result<Measured, TrainError> {
    let (world, process) = experiment.build()?;
    let n = experiment.evaluation.samples;
    let labels: Vec<usize> = (0..n).map(|i| i % world.labels()).collect();
    let stream = &mut Stream::new(experiment.seed, OURS);
    let samples = process.sample(model, &told(model, &labels)?, n, experiment.evaluation.moves, stream)?;
    figures(experiment, &samples, &labels, before)
}

fn figures(
    experiment: &DenoiseExperiment,
    samples: &[f64],
    labels: &[usize],
    before: Option<&[f64]>,
) -> Result<Measured, TrainError> {
    let (world, _) = experiment.build()?;
    let dim = world.dim();
    let each = |f: &dyn Fn(&[f64], usize) -> f64| -> Vec<f64> {
        samples.chunks_exact(dim).zip(labels).map(|(x, l)| f(x, *l)).collect()
    };
    let rewards = each(&|x, l| world.reward(x, l));
    let mut metrics = BTreeMap::new();
    metrics.insert("reward".to_owned(), mean_interval(&rewards)?);
    metrics.insert("distance".to_owned(), mean_interval(&each(&|x, l| world.distance(x, l)))?);
    if let Some(before) = before {
        metrics.insert("win_rate".to_owned(), win_rate(&rewards, before)?);
    }
    let some = &samples[..COMPARED.min(labels.len()) * dim];
    let data = draw_many(&world, COMPARED.min(labels.len()), &mut Stream::new(experiment.seed, DATA)).0;
    let plain = |value: f64| Estimate { value, low: value, high: value, n: some.len() / dim };
    metrics.insert("energy_distance".to_owned(), plain(energy_distance(some, &data, dim)?));
    metrics.insert("mmd".to_owned(), plain(mmd(some, &data, dim, median_distance(&data, dim)?)?));
    metrics.insert("diversity".to_owned(), plain(mean_distance(some, dim)?));
    let shown = samples.chunks_exact(dim).take(experiment.evaluation.shown).map(<[f64]>::to_vec).collect();
    Ok(Measured { metrics, rewards, shown })
}
