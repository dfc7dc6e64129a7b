//! Diffusion-DRO: experts ranked above the policy's own samples, by a hinge.

use dfdx::prelude::*;
use tropism_core::LossTerms;
use tropism_core::options::not_negative;

use super::PairErrors;
use super::method::{method, options};
use super::shared::{Changes, pair_terms};
use crate::DiffusionError;

options! {
    /// Options of [`diffusion_dro()`].
    DiffusionDro = "diffusion_dro", "Ranking-based Preference Optimization for Diffusion Models from Implicit User Feedback, arXiv 2510.18353" {
        /// Margin `≥ 0`, the paper's `−m`, in errors averaged over dimensions; 0.001 (latents) by default, data of few dimensions take 0.1.
        margin: f64 = 0.001, with_margin, not_negative;
    }
}

method!(DiffusionDro, Pairs(learner, reference), [], |this, _read| diffusion_dro(learner, reference, this));

/// The Diffusion-DRO loss of `P` pairs: chosen is a noised expert with its noise as target, rejected a state of the lagged policy's own
/// sampling with **that policy's prediction** as target, both at the same time.
///
/// ```text
/// d = (e_φ − e_ref) − (q_φ − q_ref)
/// losses = max(d + margin, 0)     weights = 1
/// ∂losses/∂e_φ = 1      ∂losses/∂q_φ = −1      where d + margin > 0, else 0 (at the kink too)
/// ```
///
/// Not to be confused with the direct reward optimisation of [`dso_dro()`](super::dso_dro()). Right after the policy was copied from the
/// learner, `q_φ` and its gradient are exactly 0, so that the step is plain training gated by the hinge. With several steps between
/// copies and a small margin, `−q_φ` has no lower bound.
///
/// Source: arXiv 2510.18353, equation 15 with `m = −margin` (`max(d + margin, 0) = max(m, d) + margin`), in the form of the authors'
/// `train.py`. Their default settings copy the policy at every optimiser step, so that the rejected term is always 0.
///
/// # Errors
/// [`DiffusionError::Option`]; [`DiffusionError::Core`].
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_diffusion::objectives::{DiffusionDro, PairErrors, diffusion_dro};
///
/// let dev = Cpu::default();
/// let learner = PairErrors::new(dev.tensor([0.1625_f64]), dev.tensor([0.0125]))?;
/// let reference = PairErrors::new(dev.tensor([0.125]), dev.tensor([0.0025]))?;
/// let terms = diffusion_dro(learner, reference, &DiffusionDro::default())?;
/// assert!((terms.values()[0] - 0.0285).abs() < 1e-12);
/// # Ok::<(), tropism_diffusion::DiffusionError>(())
/// ```
pub fn diffusion_dro<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    learner: PairErrors<P, E, D, T>,
    reference: PairErrors<P, E, D>,
    config: &DiffusionDro,
) -> Result<LossTerms<P, E, D, T>, DiffusionError> {
    config.check()?;
    let changes = Changes::of(&learner, Some(&reference))?;
    let found: Vec<[f64; 2]> = changes.gaps().iter().map(|gap| hinge(gap + config.margin)).collect();
    let mut diagnostics = changes.diagnostics(|_| 1.0)?;
    diagnostics.push("hinge/active", found.iter().map(|f| f[1]).collect())?;
    pair_terms(learner, found, diagnostics)
}

/// `max(x, 0)` and its slope, 0 at the kink.
fn hinge(x: f64) -> [f64; 2] {
    if x > 0.0 { [x, 1.0] } else { [0.0, 0.0] }
}
