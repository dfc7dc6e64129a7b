//! Flow-GRPO: policy gradients on steps of a flow's SDE; a baseline.

use dfdx::prelude::*;
use tropism_core::numerics::{attach, to_f64};
use tropism_core::options::{not_negative, positive};
use tropism_core::{Column, CoreError, Domain, LossTerms};

use super::SampledSteps;
use super::method::{method, options};
use super::ratio::clipped;
use crate::DiffusionError;

options! {
    /// Options of [`flow_grpo()`].
    FlowGrpo = "flow_grpo", "Flow-GRPO: Training Flow Matching Models via Online RL, arXiv 2505.05470" {
        /// Bound of the ratio of densities, to `1 ± clip`; 1e-4 by default, for log-densities averaged over dimensions.
        clip: f64 = 1e-4, with_clip, positive;
        /// Weight of the divergence from the reference; 0.04 by default.
        beta: f64 = 0.04, with_beta, not_negative;
    }
}

const COLUMNS: [Column; 2] = [Column::row("advantages", Domain::Any), Column::row("old_logps", Domain::Any)];

method!(FlowGrpo, Steps(steps), [COLUMNS[0], COLUMNS[1]], |this, read| {
    flow_grpo(steps, &read("advantages"), &read("old_logps"), this)
});

/// The Flow-GRPO loss of `P` kept steps of the SDE ([`sde_moves`](crate::sample::sde_moves)), each with the advantage of its final
/// sample in the group of its prompt.
///
/// ```text
/// losses = max(−A ρ, −A clamp(ρ, 1−c, 1+c)) + β mean_D (μ_θ − μ_ref)²/(2σ²)     weights = 1
/// ```
///
/// The divergence comes as deviations ([`step_deviations`](crate::sample::step_deviations)): the authors divide by `σ_t²` without the
/// length of the step (give these as variances) and raised `β` from 0.004 to 0.04 for it.
///
/// Source: arXiv 2505.05470, in the form of the authors' `train_sd3.py`. Advantages: [`group_advantages`](super::group_advantages).
///
/// # Errors
/// [`DiffusionError::Option`]; [`DiffusionError::Input`] for missing deviations with `β > 0`, and for given ones with `β = 0`;
/// [`DiffusionError::Core`].
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_diffusion::objectives::{FlowGrpo, SampledSteps, flow_grpo};
///
/// let dev = Cpu::default();
/// let steps = SampledSteps::new(dev.tensor([-1.0_f64]), Some(dev.tensor([0.5])))?;
/// assert_eq!(flow_grpo(steps, &[0.5], &[-1.0], &FlowGrpo::default())?.values(), [-0.48]);
/// # Ok::<(), tropism_diffusion::DiffusionError>(())
/// ```
pub fn flow_grpo<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    steps: SampledSteps<P, E, D, T>,
    advantages: &[f64],
    old_logps: &[f64],
    config: &FlowGrpo,
) -> Result<LossTerms<P, E, D, T>, DiffusionError> {
    config.check()?;
    let refuse = |problem: &str| Err(DiffusionError::Input { method: FlowGrpo::NAME, problem: problem.to_owned() });
    let found = clipped(&to_f64(&steps.logps), old_logps, advantages, config.clip)?;
    let (mut values, mut diagnostics) = (found.losses.clone(), found.diagnostics(advantages)?);
    let rows = values.len();
    let deviations = match (config.beta > 0.0, steps.deviations) {
        (true, None) => {
            return refuse("`beta` is on and deviations from the reference are missing; give them or set it to 0");
        }
        (false, Some(_)) => return refuse("`beta` is 0 and so deviations are not read; leave them out"),
        (_, deviations) => deviations,
    };
    if let Some(deviations) = &deviations {
        let distances = to_f64(deviations);
        values.iter_mut().zip(&distances).for_each(|(v, d)| *v += config.beta * d);
        diagnostics.push("kl", distances)?;
    }
    CoreError::check_finite("loss", &values)?;
    let losses = match deviations {
        None => attach(&values, [(steps.logps, found.slopes)])?,
        Some(deviations) => attach(&values, [(steps.logps, found.slopes), (deviations, vec![config.beta; rows])])?,
    };
    Ok(LossTerms::new(losses, vec![1.0; rows], diagnostics)?)
}
