//! What the losses on pairs share: the logistic link, margins of error changes, diagnostics.

use dfdx::prelude::*;
use tropism_core::numerics::{attach, log_sigmoid_scalar, sigmoid_scalar, to_f64};
use tropism_core::{CoreError, Diagnostics, LossTerms};

use super::PairErrors;
use crate::DiffusionError;

/// `−log σ(z)` and its slope `−σ(−z)`.
pub(crate) fn logistic(z: f64) -> (f64, f64) {
    (-log_sigmoid_scalar(z), -sigmoid_scalar(-z))
}

/// How the errors of a pair have changed against the reference (or from 0 without one), chosen first.
pub(crate) struct Changes {
    errors: [Vec<f64>; 2],
    pub(crate) changes: [Vec<f64>; 2],
}

impl Changes {
    pub(crate) fn of<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        policy: &PairErrors<P, E, D, T>,
        reference: Option<&PairErrors<P, E, D>>,
    ) -> Result<Self, DiffusionError> {
        let errors = [to_f64(&policy.chosen), to_f64(&policy.rejected)];
        let changes = match reference {
            None => errors.clone(),
            Some(reference) => {
                CoreError::check_size("reference errors", policy.rows(), reference.rows())?;
                let theirs = [to_f64(&reference.chosen), to_f64(&reference.rejected)];
                [0, 1].map(|k| errors[k].iter().zip(&theirs[k]).map(|(e, r)| e - r).collect())
            }
        };
        Ok(Self { errors, changes })
    }

    /// `Δ_w − Δ_l` of each row.
    pub(crate) fn gaps(&self) -> Vec<f64> {
        self.changes[0].iter().zip(&self.changes[1]).map(|(w, l)| w - l).collect()
    }

    /// Implicit rewards are `−scale · change`.
    pub(crate) fn diagnostics(&self, scale: impl Fn(usize) -> f64) -> Result<Diagnostics, DiffusionError> {
        let rewards: [Vec<f64>; 2] =
            [0, 1].map(|k| self.changes[k].iter().enumerate().map(|(row, c)| -scale(row) * c).collect());
        let each = |f: fn(f64, f64) -> f64| rewards[0].iter().zip(&rewards[1]).map(|(&w, &l)| f(w, l)).collect::<Vec<_>>();
        let flag = |holds: bool| f64::from(u8::from(holds));
        let mut found = Diagnostics::default();
        found.push("rewards/chosen", rewards[0].clone())?;
        found.push("rewards/rejected", rewards[1].clone())?;
        found.push("rewards/margins", each(|w, l| w - l))?;
        found.push("rewards/accuracies", rewards[0].iter().zip(&rewards[1]).map(|(w, l)| flag(w > l)).collect())?;
        found.push("rewards/ties", rewards[0].iter().zip(&rewards[1]).map(|(w, l)| flag(w == l)).collect())?;
        found.push("errors/chosen", self.errors[0].clone())?;
        found.push("errors/rejected", self.errors[1].clone())?;
        found.push("error_changes/chosen", self.changes[0].clone())?;
        found.push("error_changes/rejected", self.changes[1].clone())?;
        Ok(found)
    }
}

/// Terms `−log σ(z)` of weight 1 with `z = −scale(row) (Δ_w − Δ_l)`.
pub(crate) fn logistic_terms<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairErrors<P, E, D, T>,
    reference: Option<&PairErrors<P, E, D>>,
    scale: impl Fn(usize) -> f64,
) -> Result<LossTerms<P, E, D, T>, DiffusionError> {
    let changes = Changes::of(&policy, reference)?;
    let found = changes.gaps().into_iter().enumerate().map(|(row, gap)| {
        let (value, slope) = logistic(-scale(row) * gap);
        [value, -scale(row) * slope]
    });
    pair_terms(policy, found.collect(), changes.diagnostics(&scale)?)
}

/// Terms of weight 1 from value and slope in the chosen error of each row; the slope in the rejected one is its negative.
pub(crate) fn pair_terms<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairErrors<P, E, D, T>,
    found: Vec<[f64; 2]>,
    diagnostics: Diagnostics,
) -> Result<LossTerms<P, E, D, T>, DiffusionError> {
    let values: Vec<f64> = found.iter().map(|f| f[0]).collect();
    CoreError::check_finite("loss", &values)?;
    let chosen = found.iter().map(|f| f[1]).collect();
    let rejected = found.iter().map(|f| -f[1]).collect();
    let losses = attach(&values, [(policy.chosen, chosen), (policy.rejected, rejected)])?;
    Ok(LossTerms::new(losses, vec![1.0; values.len()], diagnostics)?)
}

/// Fails on the first value outside what is allowed.
pub(crate) fn check_values(
    what: &'static str,
    values: &[f64],
    rows: usize,
    (allowed, requirement): (fn(f64) -> bool, &'static str),
) -> Result<(), DiffusionError> {
    CoreError::check_size(what, rows, values.len())?;
    match values.iter().position(|&v| !(v.is_finite() && allowed(v))) {
        None => Ok(()),
        Some(row) => Err(DiffusionError::Value { what, row, value: values[row], requirement }),
    }
}
