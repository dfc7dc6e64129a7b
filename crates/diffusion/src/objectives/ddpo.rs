//! DDPO: policy gradients on denoising steps; a baseline.

use dfdx::prelude::*;
use tropism_core::numerics::{attach, to_f64};
use tropism_core::options::positive;
use tropism_core::{Column, Domain, LossTerms};

use super::SampledSteps;
use super::method::{method, options};
use super::ratio::clipped;
use crate::DiffusionError;

options! {
    /// Options of [`ddpo()`].
    Ddpo = "ddpo", "Training Diffusion Models with Reinforcement Learning (DDPO), arXiv 2305.13301" {
        /// Bound of the ratio of densities, to `1 ± clip`; 1e-4 by default, for log-densities averaged over dimensions.
        clip: f64 = 1e-4, with_clip, positive;
    }
}

const COLUMNS: [Column; 2] = [Column::row("advantages", Domain::Any), Column::row("old_logps", Domain::Any)];

method!(Ddpo, Steps(steps), [COLUMNS[0], COLUMNS[1]], |this, read| {
    ddpo(steps, &read("advantages"), &read("old_logps"), this)
});

/// The DDPO loss (its importance-sampling form) of `P` kept denoising steps, each with the advantage of its final sample.
///
/// ```text
/// ρ = exp(logp − old_logp)     losses = max(−A ρ, −A clamp(ρ, 1−c, 1+c))     weights = 1
/// ∂losses/∂logp = −A ρ, unless clipped
/// ```
///
/// Log-densities are of DDIM steps with `eta = 1`, averaged over dimensions, so bounds do not carry over to data of other dimensions. No
/// divergence from a reference.
///
/// Source: arXiv 2305.13301, in the form of the authors' `ddpo-pytorch`. Advantages: [`PromptStatistics`](super::PromptStatistics).
///
/// # Errors
/// [`DiffusionError::Option`]; [`DiffusionError::Input`] for deviations from a reference, which it does not read;
/// [`DiffusionError::Core`].
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_diffusion::objectives::{Ddpo, SampledSteps, ddpo};
///
/// let steps = SampledSteps::new(Cpu::default().tensor([-1.0_f64]), None)?;
/// assert_eq!(ddpo(steps, &[0.5], &[-1.0], &Ddpo::default())?.values(), [-0.5]);
/// # Ok::<(), tropism_diffusion::DiffusionError>(())
/// ```
pub fn ddpo<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    steps: SampledSteps<P, E, D, T>,
    advantages: &[f64],
    old_logps: &[f64],
    config: &Ddpo,
) -> Result<LossTerms<P, E, D, T>, DiffusionError> {
    config.check()?;
    if steps.deviations.is_some() {
        let problem = "it reads no deviations from a reference; leave them out".to_owned();
        return Err(DiffusionError::Input { method: Ddpo::NAME, problem });
    }
    let found = clipped(&to_f64(&steps.logps), old_logps, advantages, config.clip)?;
    let diagnostics = found.diagnostics(advantages)?;
    let losses = attach(&found.losses, [(steps.logps, found.slopes)])?;
    Ok(LossTerms::new(losses, vec![1.0; advantages.len()], diagnostics)?)
}
