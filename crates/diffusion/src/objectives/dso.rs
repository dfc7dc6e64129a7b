//! DSO: direct reward optimisation on samples that a simulator calls good or bad, and its DPO baseline.

use dfdx::prelude::*;
use tropism_core::numerics::{attach, to_f64};
use tropism_core::options::{any, positive};
use tropism_core::{Column, Diagnostics, Domain, LossTerms};

use super::PairErrors;
use super::input::check_errors;
use super::method::{method, options};
use super::shared::{Changes, check_values, logistic_terms, pair_terms};
use crate::DiffusionError;

options! {
    /// Options of [`dso_dro()`].
    DsoDro = "dso_dro", "DSO: Aligning 3D Generators with Simulation Feedback for Physical Soundness, arXiv 2503.22677" {
        /// The constant `T · w > 0` that the paper writes before the loss; 1 by default, for a learning rate absorbs it.
        scale: f64 = 1.0, with_scale, positive;
    }
}

options! {
    /// Options of [`dso_unpaired()`].
    DsoUnpaired = "dso_unpaired", "DSO: Aligning 3D Generators with Simulation Feedback for Physical Soundness, arXiv 2503.22677" {
        /// The constant `T · w > 0` that the paper writes before the loss; 1 by default.
        scale: f64 = 1.0, with_scale, positive;
        /// Whether good and bad rows have the same total weight, which a batch of mostly one kind needs; off by default, as in the paper.
        balanced: bool = false, with_balanced, any;
    }
}

options! {
    /// Options of [`dso_dpo()`].
    DsoDpo = "dso_dpo", "DSO: Aligning 3D Generators with Simulation Feedback for Physical Soundness, arXiv 2503.22677" {
        /// Strength `β > 0`, on errors averaged over dimensions; 500 by default.
        beta: f64 = 500.0, with_beta, positive;
    }
}

method!(DsoDro, PolicyPairs(policy), [], |this, _read| dso_dro(policy, this));
method!(DsoUnpaired, Samples(errors), [Column::row("outcome", Domain::Flag)], |this, read| {
    dso_unpaired(errors, &read("outcome"), this)
});
method!(DsoDpo, Pairs(policy, reference), [], |this, _read| dso_dpo(policy, reference, this));

/// Direct reward optimisation of `P` pairs of a good and a bad sample, without a reference.
///
/// ```text
/// losses = T w (e_θ(x_w) − e_θ(x_l))     weights = 1
/// ∂losses/∂e_w = T w      ∂losses/∂e_l = −T w
/// ```
///
/// The gradient never fades and the loss has **no lower bound**: a bad sample's error can grow for ever. A short training at a small rate
/// is part of the method; watch samples. It is the limit of DPO at small `β`: `(L_DPO − ln 2)/(β/4)` tends to it up to a constant.
///
/// Members share their time and have noise of their own, as in the authors' code.
///
/// Source: arXiv 2503.22677, in the form of the authors' `finetune.py` for balanced pairs.
///
/// # Errors
/// [`DiffusionError::Option`]; [`DiffusionError::Core`].
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_diffusion::objectives::{DsoDro, PairErrors, dso_dro};
///
/// let dev = Cpu::default();
/// let policy = PairErrors::new(dev.tensor([0.04_f64]), dev.tensor([0.065]))?;
/// assert!((dso_dro(policy, &DsoDro::default())?.values()[0] + 0.025).abs() < 1e-12);
/// # Ok::<(), tropism_diffusion::DiffusionError>(())
/// ```
pub fn dso_dro<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairErrors<P, E, D, T>,
    config: &DsoDro,
) -> Result<LossTerms<P, E, D, T>, DiffusionError> {
    config.check()?;
    let changes = Changes::of(&policy, None)?;
    let found = changes.gaps().iter().map(|gap| [config.scale * gap, config.scale]).collect();
    pair_terms(policy, found, changes.diagnostics(|_| config.scale)?)
}

/// Direct reward optimisation of `P` samples with outcomes, 1 for good and 0 for bad: `−T w (1 − 2 o) e_θ` read as the paper means it,
/// towards good samples and away from bad ones.
///
/// ```text
/// losses = T w (2 o − 1) e_θ     weights = 1
/// ```
///
/// With `balanced`, rows of each kind are scaled to the same total, `P/(2 n_o)` times as much, so that a row's loss depends on the batch and
/// a step must not be split. Otherwise a batch with more bad than good
/// rows pushes errors up on the whole. For a balanced batch this is half of [`dso_dro()`] on its pairs. All outcomes 1 is plain training.
///
/// Source: arXiv 2503.22677. The text prints a leading minus *and* `1 − 2 o`; dropping either one trains for bad samples.
///
/// # Errors
/// [`DiffusionError::Option`]; [`DiffusionError::Value`] for an outcome that is neither 0 nor 1; [`DiffusionError::Input`] for a balanced
/// batch of one kind; [`DiffusionError::Core`].
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_diffusion::objectives::{DsoUnpaired, dso_unpaired};
///
/// let errors = Cpu::default().tensor([0.04_f64, 0.30, 0.10]);
/// let loss = dso_unpaired(errors, &[1.0, 0.0, 1.0], &DsoUnpaired::default())?.mean()?.array();
/// assert!((loss + 0.0533333333).abs() < 1e-9);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn dso_unpaired<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    errors: Tensor<(P,), E, D, T>,
    outcomes: &[f64],
    config: &DsoUnpaired,
) -> Result<LossTerms<P, E, D, T>, DiffusionError> {
    config.check()?;
    let values = to_f64(&errors);
    check_errors("error", &values, 1)?;
    check_values("outcome", outcomes, values.len(), (|o| o == 0.0 || o == 1.0, "0 (bad) or 1 (good)"))?;
    let good = outcomes.iter().sum::<f64>();
    let (rows, counts) = (values.len() as f64, [values.len() as f64 - good, good]);
    if config.balanced && counts.contains(&0.0) {
        let problem = "a balanced batch needs good and bad rows; this one has one kind".to_owned();
        return Err(DiffusionError::Input { method: DsoUnpaired::NAME, problem });
    }
    let slope = |o: f64| {
        let share = if config.balanced { rows / (2.0 * counts[usize::from(o == 1.0)]) } else { 1.0 };
        config.scale * share * (2.0 * o - 1.0)
    };
    let slopes: Vec<f64> = outcomes.iter().map(|&o| slope(o)).collect();
    let losses: Vec<f64> = values.iter().zip(&slopes).map(|(e, s)| s * e).collect();
    let mut diagnostics = Diagnostics::default();
    diagnostics.push("errors", values)?;
    diagnostics.push("outcomes", outcomes.to_vec())?;
    let weights = vec![1.0; losses.len()];
    Ok(LossTerms::new(attach(&losses, [(errors, slopes)])?, weights, diagnostics)?)
}

/// DSO's DPO baseline: [`diffusion_dpo()`](super::diffusion_dpo()) on errors of a flow's velocity, with noise of their own for both
/// members and the same for policy and reference.
///
/// # Errors
/// As [`diffusion_dpo()`](super::diffusion_dpo()).
pub fn dso_dpo<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairErrors<P, E, D, T>,
    reference: PairErrors<P, E, D>,
    config: &DsoDpo,
) -> Result<LossTerms<P, E, D, T>, DiffusionError> {
    config.check()?;
    logistic_terms(policy, Some(&reference), |_| config.beta / 2.0)
}
