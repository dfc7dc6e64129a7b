//! Noise schedules, times of sampling, weights of errors.
//!
//! A [`NoiseSchedule`] counts times `0..T`; a flow has times from 0 (data) to 1 (noise). Both give a [`Level`] for a time: how much of
//! the data and of the noise is in `x_t`. Everything else of this crate is written in levels.

mod betas;
mod level;
mod noise;
mod times;
mod weights;

pub use betas::BetaSchedule;
pub use level::Level;
pub use noise::{NoiseSchedule, Posterior};
pub use times::{flow_times, inversion_times, logit_normal_time, sampling_times};
pub use weights::{elbo_weight, min_snr_weight};
