//! Samplers, their log-densities, inversion and guidance.
//!
//! A move of any sampler here is a linear function of the state and the network's output plus Gaussian noise, a [`Kernel`]. A sampler
//! is a list of [`Move`]s; [`sample`] follows it, [`trajectory`] keeps the way, and [`step_logps`] gives the log-density of a kept step
//! under a network on a tape. [`ddim_moves`], [`ddpm_moves`], [`euler_moves`] and [`sde_moves`] write the lists.

mod diffusion;
mod flow;
mod guidance;
mod inversion;
mod kernel;
mod run;

pub use diffusion::{Ddim, DdpmVariance, ddim_moves, ddpm_moves};
pub use flow::{euler_moves, sde_level, sde_moves};
pub use guidance::{guided, guided_output};
pub use inversion::{Inversion, invert, recovered_noise};
pub use kernel::{Kernel, step_deviations, step_logps};
pub use run::{Move, Trajectory, sample, trajectory};
