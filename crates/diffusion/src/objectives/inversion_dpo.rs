//! Inversion-DPO: pairs compared along inverted trajectories.

use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use tropism_core::numerics::from_f64;
use tropism_core::options::{any, positive};
use tropism_core::{CoreError, LossTerms};

use super::method::{DiffusionBatch, DiffusionInput, DiffusionKind, DiffusionMethod, options, wrong};
use super::{PairErrors, shared::logistic_terms};
use crate::DiffusionError;
use crate::prediction::squared_errors;
use crate::schedule::Level;

options! {
    /// Options of [`inversion_dpo()`].
    InversionDpo = "inversion_dpo", "Inversion-DPO: Precise and Efficient Post-Training for Diffusion Models, arXiv 2507.11554" {
        /// Strength `β > 0`; 2000 by default, as in the authors' launcher (their parser has 5000).
        beta: f64 = 2000.0, with_beta, positive;
        /// What is compared.
        form: InversionForm = InversionForm::Target, with_form, any;
    }
}

/// What is compared along the inversion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InversionForm {
    /// The released code's: deviations from the reference along **the reference's** trajectory, with a plus. At `policy = reference`
    /// its gradient is exactly 0, and it has no direction of preference.
    Released,
    /// The same loss along **the policy's** trajectory, for which the plus follows from the derivation. Also stationary at the reference.
    PolicyTrajectory,
    /// Errors to the noise that inversion recovers, as in Diffusion-DPO; InPO's code. It has a direction at the reference; the default.
    #[default]
    Target,
}

impl DiffusionMethod for InversionDpo {
    fn input(&self) -> DiffusionKind {
        match self.form {
            InversionForm::Target => DiffusionKind::Pairs,
            InversionForm::Released | InversionForm::PolicyTrajectory => DiffusionKind::PolicyPairs,
        }
    }

    fn loss<P: Dim, K: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        batch: DiffusionBatch<P, K, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, DiffusionError> {
        match batch.input {
            DiffusionInput::Pairs(policy, reference) => inversion_dpo(policy, Some(reference), self),
            DiffusionInput::PolicyPairs(policy) => inversion_dpo(policy, None, self),
            other => Err(wrong(Self::NAME, self.input(), other.kind())),
        }
    }
}

/// The Inversion-DPO loss of `P` pairs.
///
/// With `form = "target"`, errors of policy and reference to the recovered noise, as [`diffusion_dpo()`](super::diffusion_dpo()):
///
/// ```text
/// z = −(β/2) [(e^θ_w − e^ref_w) − (e^θ_l − e^ref_l)]
/// ```
///
/// With the other forms, deviations `A` along the trajectory ([`trajectory_deviations`]) in place of errors, and no reference beside
/// them:
///
/// ```text
/// z = +(β/2) (A(x_w) − A(x_l))
/// ```
///
/// `losses = −log σ(z)`, weights 1. Points of inversions are constants.
///
/// Source: arXiv 2507.11554, the released `train_ddim.py` for the first form, `train.py` of InPO for the last. The authors invert with
/// the reference and keep the plus of the policy's own trajectory; on the reference's trajectory the derivation gives a minus.
///
/// # Errors
/// [`DiffusionError::Input`] for a reference with deviations, or none with errors; otherwise as
/// [`diffusion_dpo()`](super::diffusion_dpo()).
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_diffusion::objectives::{InversionDpo, InversionForm, PairErrors, inversion_dpo};
///
/// let dev = Cpu::default();
/// let deviations = PairErrors::new(dev.tensor([3.0069444444e-4_f64]), dev.tensor([3.0138888889e-4]))?;
/// let terms = inversion_dpo(deviations, None, &InversionDpo::default().with_form(InversionForm::Released))?;
/// assert!((terms.values()[0] - 0.6934944631).abs() < 1e-9);
/// # Ok::<(), tropism_diffusion::DiffusionError>(())
/// ```
pub fn inversion_dpo<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairErrors<P, E, D, T>,
    reference: Option<PairErrors<P, E, D>>,
    config: &InversionDpo,
) -> Result<LossTerms<P, E, D, T>, DiffusionError> {
    config.check()?;
    let refuse = |problem: &str| Err(DiffusionError::Input { method: InversionDpo::NAME, problem: problem.to_owned() });
    match (config.form, reference) {
        (InversionForm::Target, Some(reference)) => logistic_terms(policy, Some(&reference), |_| config.beta / 2.0),
        (InversionForm::Target, None) => refuse("with form = \"target\" it needs the errors of a reference model"),
        (_, None) => logistic_terms(policy, None, |_| -config.beta / 2.0),
        (_, Some(_)) => refuse("deviations are from the reference already; leave the reference out"),
    }
}

/// One point of an inverted trajectory.
#[derive(Clone, Debug)]
pub struct TrajectoryPoint<B: Dim, D: Dim, E: Dtype, V: Device<E>, T = NoneTape> {
    /// The policy's noise prediction `[B, D]`.
    pub policy: Tensor<(B, D), E, V, T>,
    /// The reference's at the same point and time.
    pub reference: Tensor<(B, D), E, V>,
    /// Levels of the time that both were asked with, one per row.
    pub levels: Vec<Level>,
}

/// `A(x) = (1/S) Σ_i w_i mean_D (ε_θ − ε_ref)²` over the `S` points of a trajectory, `[B]`, with `w_i = 1/(2 ᾱ_{t_i})`: half the squared
/// difference of the two estimates of the data, over `1 − ᾱ`.
///
/// `floor` bounds `ᾱ` from below in the weight, 0 for the authors' form: the weight is 107 at the last time of Stable Diffusion and
/// 12 400 for the linear schedule of 1000 steps; 0.01 is a sane floor.
///
/// # Errors
/// [`DiffusionError::Core`] for no points; [`DiffusionError::Shape`]; [`DiffusionError::Value`] where `ᾱ` and the floor are 0.
pub fn trajectory_deviations<B: Dim, D: Dim, E: Dtype, V: Device<E>, T: Tape<E, V> + Merge<T>>(
    points: Vec<TrajectoryPoint<B, D, E, V, T>>,
    floor: f64,
) -> Result<Tensor<(B,), E, V, T>, DiffusionError> {
    let steps = points.len() as f64;
    let mut sum: Option<Tensor<(B,), E, V, T>> = None;
    for point in points {
        let errors = squared_errors(point.policy, &point.reference)?;
        CoreError::check_size("levels", errors.shape().0.size(), point.levels.len())?;
        let alphas: Vec<f64> = point.levels.iter().map(|l| (l.signal * l.signal).max(floor)).collect();
        if let Some(row) = alphas.iter().position(|&a| a <= 0.0) {
            let requirement = "positive; give a floor, or leave this time out";
            return Err(DiffusionError::Value { what: "alpha_bar", row, value: alphas[row], requirement });
        }
        let weights: Vec<f64> = alphas.iter().map(|a| 1.0 / (2.0 * a * steps)).collect();
        let weights: Tensor<(B,), E, V> = from_f64(errors.device(), &weights, *errors.shape())?;
        let part = errors.try_mul(weights).map_err(CoreError::device)?;
        sum = Some(match sum {
            None => part,
            Some(sum) => sum.try_add(part).map_err(CoreError::device)?,
        });
    }
    Ok(sum.ok_or(CoreError::Empty { what: "trajectory" })?)
}
