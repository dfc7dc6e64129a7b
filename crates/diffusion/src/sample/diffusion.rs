//! Samplers of diffusions: DDIM and DDPM.

use serde::{Deserialize, Serialize};
use tropism_core::options;
use tropism_core::options::{any, share};

use super::{Kernel, Move};
use crate::DiffusionError;
use crate::prediction::Prediction;
use crate::schedule::{Level, NoiseSchedule};

options! {
    DiffusionError;
    /// Options of [`ddim_moves`].
    Ddim = "ddim" {
        /// Share of the posterior's noise: 0 (the default) is deterministic, 1 is ancestral sampling as in DDPM.
        eta: f64 = 0.0, with_eta, share;
        /// Whether the last move goes to the data (`ᾱ = 1`, the default) or to the level of time 0, where it still has noise; the latter
        /// is `set_alpha_to_one = False` of diffusers, and what D3PO trains.
        to_data: bool = true, with_to_data, any;
    }
}

/// Which variance a step of DDPM has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DdpmVariance {
    /// The posterior's, `β̃`; `fixed_small` of diffusers.
    #[default]
    Posterior,
    /// That of the forward step, `β`; `fixed_large` of diffusers.
    Forward,
}

/// The moves of DDIM along descending `times`, from each to the next and from the last as the options say.
///
/// ```text
/// x_s = √ᾱ_s x̂₀ + √(1 − ᾱ_s − σ²) ε̂ + σ z      σ² = η² (1−ᾱ_s)/(1−ᾱ_t) (1 − ᾱ_t/ᾱ_s)
/// ```
///
/// Source: arXiv 2010.02502, equations 12 and 16. `diffusers` steps to `t − T/S` whatever the spacing of its times; give these times
/// to get the same.
///
/// # Errors
/// [`DiffusionError::Input`] unless times descend; [`DiffusionError::Time`] for times that the schedule does not have and where the
/// prediction says nothing about the data (noise where no signal is left).
pub fn ddim_moves(
    schedule: &NoiseSchedule,
    prediction: Prediction,
    times: &[usize],
    options: &Ddim,
) -> Result<Vec<Move>, DiffusionError> {
    options.check()?;
    let last = if options.to_data { Level::CLEAN } else { schedule.level(0)? };
    descending("ddim", times)?;
    let kernel = |at: Level, to: Level, variance: f64| {
        let direction = libm::sqrt((to.noise * to.noise - variance).max(0.0));
        let (data, noise) = (prediction.to(Prediction::Data, at)?, prediction.to(Prediction::Noise, at)?);
        Ok(Kernel::of(&[(to.signal, data), (direction, noise)], libm::sqrt(variance)))
    };
    moves(schedule, times, |i, t| {
        let at = schedule.level(t)?;
        let to = times.get(i + 1).map_or(Ok(last), |&s| schedule.level(s))?;
        let (a, b) = (at.signal * at.signal, to.signal * to.signal);
        let share = (1.0 - b) / (1.0 - a);
        kernel(at, to, options.eta * options.eta * share * (1.0 - a / b).max(0.0))
    })
}

/// The moves of DDPM along descending `times`, from each to the next and from the last to the data.
///
/// The mean is the posterior's at the estimate of the data; steps that end at the data have no noise.
///
/// Source: arXiv 2006.11239, equations 6, 7 and 11, for steps that may be longer than one.
///
/// # Errors
/// As [`ddim_moves`].
pub fn ddpm_moves(
    schedule: &NoiseSchedule,
    prediction: Prediction,
    times: &[usize],
    variance: DdpmVariance,
) -> Result<Vec<Move>, DiffusionError> {
    descending("ddpm", times)?;
    moves(schedule, times, |i, t| {
        let to = times.get(i + 1).copied();
        let posterior = schedule.posterior(t, to)?;
        let forward =
            || Ok::<_, DiffusionError>(1.0 - schedule.alpha_bar(t)? / to.map_or(Ok(1.0), |s| schedule.alpha_bar(s))?);
        let variance = match (to, variance) {
            (None, _) => 0.0,
            (_, DdpmVariance::Posterior) => posterior.variance,
            (_, DdpmVariance::Forward) => forward()?,
        };
        let data = prediction.to(Prediction::Data, schedule.level(t)?)?;
        let mut kernel = Kernel::of(&[(posterior.data, data)], libm::sqrt(variance));
        kernel.state += posterior.state;
        Ok(kernel)
    })
}

/// A move for each time.
fn moves(
    schedule: &NoiseSchedule,
    times: &[usize],
    kernel: impl Fn(usize, usize) -> Result<Kernel, DiffusionError>,
) -> Result<Vec<Move>, DiffusionError> {
    let one = |(i, &t): (usize, &usize)| {
        schedule.alpha_bar(t)?;
        Ok(Move { t: t as f64, kernel: kernel(i, t)? })
    };
    times.iter().enumerate().map(one).collect()
}

fn descending(method: &'static str, times: &[usize]) -> Result<(), DiffusionError> {
    match times.windows(2).find(|w| w[1] >= w[0]) {
        None if !times.is_empty() => Ok(()),
        None => Err(DiffusionError::Input { method, problem: "there are no times; give at least one".to_owned() }),
        Some(w) => {
            Err(DiffusionError::Input { method, problem: format!("times must descend, and {} follows {}", w[1], w[0]) })
        }
    }
}
