//! Preference objectives for denoisers and flows: schedules, samplers, losses over denoising errors, small denoisers and worlds with exact
//! rewards. Any denoiser serves: the losses see errors, the samplers see a function.
//!
//! | module | holds |
//! |---|---|
//! | [`schedule`] | noise schedules, times of sampling, weights of errors |
//! | [`prediction`] | what a network's output means: noise, data, `v`, velocity; conversions and errors |
//! | [`sample`] | samplers, their log-densities, inversion, guidance |
//! | [`objectives`] | preference losses over errors and step log-densities |
//! | [`denoiser`] | small networks |
//! | [`worlds`] | densities and tasks with exact rewards |
//! | [`figures`] | figures of generated samples |
//! | [`train`] | fitting a denoiser |
//!
//! ## Conventions
//!
//! Data are tensors `[B, D]`, one sample a row; images are flattened, `D = C·H·W`. `t` grows with the noise. Schedules count times as
//! whole numbers `0..T`, flows from 0 (data) to 1 (noise). For samplers and inversion a denoiser is any
//! `FnMut(&x_t, &t) -> Result<ŷ, DiffusionError>` with one time per row (`&[f64]`; a network divides by `T` itself); `ŷ` has the shape of
//! `x_t`, and a [`Prediction`](prediction::Prediction) says what it means. Errors are **means over the dimensions** of a sample, never sums:
//! papers that sum have a `β` smaller by a factor `D`.
#![deny(missing_docs)]

pub mod denoiser;
mod error;
pub mod figures;
pub mod objectives;
pub mod prediction;
mod random;
pub mod sample;
pub mod schedule;
mod tensors;
pub mod train;
pub mod worlds;

pub use error::DiffusionError;
pub use random::Stream;
pub use tensors::Samples;
