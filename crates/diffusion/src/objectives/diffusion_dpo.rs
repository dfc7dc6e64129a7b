//! Diffusion-DPO: DPO with differences of denoising errors in place of log-ratios.

use dfdx::prelude::*;
use tropism_core::LossTerms;
use tropism_core::options::positive;

use super::PairErrors;
use super::method::{method, options};
use super::shared::logistic_terms;
use crate::DiffusionError;

options! {
    /// Options of [`diffusion_dpo()`].
    DiffusionDpo = "diffusion_dpo", "Diffusion Model Alignment Using Direct Preference Optimization, arXiv 2311.12908" {
        /// Strength `β > 0`, on errors averaged over dimensions; 5000 by default. The authors use 2000 to 5000; data of few dimensions
        /// take 250 to 1000.
        beta: f64 = 5000.0, with_beta, positive;
    }
}

method!(DiffusionDpo, Pairs(policy, reference), [], |this, _read| diffusion_dpo(policy, reference, this));

/// The Diffusion-DPO loss of `P` pairs.
///
/// With `e = mean_D ‖y − ŷ‖²` of policy and reference at the same noised point:
///
/// ```text
/// d = (e^θ_w − e^θ_l) − (e^ref_w − e^ref_l)      z = −(β/2) d
/// losses = −log σ(z)     weights = 1
/// ∂losses/∂e^θ_w = (β/2) σ(−z)      ∂losses/∂e^θ_l = −(β/2) σ(−z)
/// ```
///
/// Both members share their time and, in the authors' code, their noise; shared noise lets the gradient of the loser cancel the
/// winner's where both are alike. At `policy = reference` the loss is `ln 2`. The implicit reward of a sample is
/// `−(β/2)(e^θ − e^ref)`. Both errors usually rise in training: watch `error_changes/chosen` beside the margin.
///
/// The error is of the network's own target: noise, `v`, or `ε − x₀` for a flow. These differ by a weight of `z` by time.
///
/// Source: Wallace et al. 2024, arXiv 2311.12908, equation 14, in the form of the authors' `train.py`: the paper sums over dimensions and
/// has `β T ω(λ_t)`, which is `β/(2D)` here. Supplement S2 of the paper has another loss with two opposite signs; it was not used.
///
/// # Errors
/// [`DiffusionError::Option`]; [`DiffusionError::Core`] for different numbers of rows or a loss that is not finite.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_diffusion::objectives::{DiffusionDpo, PairErrors, diffusion_dpo};
///
/// let dev = Cpu::default();
/// let policy = PairErrors::new(dev.tensor([0.065_f64]), dev.tensor([0.26]))?;
/// let reference = PairErrors::new(dev.tensor([0.125]), dev.tensor([0.10]))?;
/// let terms = diffusion_dpo(policy, reference, &DiffusionDpo::default().with_beta(20.0))?;
/// assert!((terms.values()[0] - 0.1050833198).abs() < 1e-9);
/// # Ok::<(), tropism_diffusion::DiffusionError>(())
/// ```
pub fn diffusion_dpo<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairErrors<P, E, D, T>,
    reference: PairErrors<P, E, D>,
    config: &DiffusionDpo,
) -> Result<LossTerms<P, E, D, T>, DiffusionError> {
    config.check()?;
    logistic_terms(policy, Some(&reference), |_| config.beta / 2.0)
}
