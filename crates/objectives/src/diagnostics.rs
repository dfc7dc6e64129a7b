//! Figures per row under TRL's names, and likelihood displacement.

use dfdx::prelude::*;
use tropism_core::numerics::to_f64;
use tropism_core::{CoreError, Diagnostics, PairLogps};

use crate::ObjectiveError;

/// Figures of the policy that are read off before a loss takes the tensors; chosen first.
pub(crate) struct PairFigures {
    pub(crate) logps: [Vec<f64>; 2],
    pub(crate) lengths: [Vec<f64>; 2],
}

impl PairFigures {
    /// Reads log-probabilities and lengths.
    pub(crate) fn of<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(policy: &PairLogps<P, E, D, T>) -> Self {
        Self {
            logps: [to_f64(&policy.chosen), to_f64(&policy.rejected)],
            lengths: [to_f64(&policy.chosen_lengths), to_f64(&policy.rejected_lengths)],
        }
    }

    /// All figures of a pairwise loss with the given rewards, if it has any; displacement from the chosen log-ratios if there are any,
    /// means per token if the loss compares them.
    pub(crate) fn diagnostics(
        self,
        reward: Option<[Vec<f64>; 2]>,
        chosen_ratios: Option<&Vec<f64>>,
        averaged: bool,
    ) -> Result<Diagnostics, CoreError> {
        let mut diagnostics = match reward {
            Some([chosen, rejected]) => rewards(chosen, rejected)?,
            None => Diagnostics::default(),
        };
        let ([logps_chosen, logps_rejected], [chosen_lengths, rejected_lengths]) = (self.logps, self.lengths);
        if averaged {
            let mean = |logps: &[f64], lengths: &[f64]| {
                logps.iter().zip(lengths).map(|(lp, n)| lp / n.max(1.0)).collect::<Vec<f64>>()
            };
            diagnostics.push("mean_logps/chosen", mean(&logps_chosen, &chosen_lengths))?;
            diagnostics.push("mean_logps/rejected", mean(&logps_rejected, &rejected_lengths))?;
        }
        if let Some(ratios) = chosen_ratios {
            diagnostics.push("displacement/chosen", ratios.clone())?;
            diagnostics.push("displacement/fell", ratios.iter().map(|&h| flag(h < 0.0)).collect())?;
        }
        diagnostics.push("logps/chosen", logps_chosen)?;
        diagnostics.push("logps/rejected", logps_rejected)?;
        diagnostics.push("lengths/chosen", chosen_lengths)?;
        diagnostics.push("lengths/rejected", rejected_lengths)?;
        Ok(diagnostics)
    }
}

/// `rewards/…` of pairs: both sides, margins, accuracies, ties.
pub(crate) fn rewards(chosen: Vec<f64>, rejected: Vec<f64>) -> Result<Diagnostics, CoreError> {
    let each = |f: fn(f64, f64) -> f64| chosen.iter().zip(&rejected).map(|(&c, &r)| f(c, r)).collect::<Vec<f64>>();
    let mut diagnostics = Diagnostics::default();
    diagnostics.push("rewards/margins", each(|c, r| c - r))?;
    diagnostics.push("rewards/accuracies", each(|c, r| flag(c > r)))?;
    diagnostics.push("rewards/ties", each(|c, r| flag(c == r)))?;
    diagnostics.push("rewards/chosen", chosen)?;
    diagnostics.push("rewards/rejected", rejected)?;
    Ok(diagnostics)
}

/// 1 or 0.
pub(crate) fn flag(b: bool) -> f64 {
    f64::from(u8::from(b))
}

/// Fails on the first row whose lengths differ.
pub(crate) fn check_lengths(side: &'static str, policy: &[f64], reference: &[f64]) -> Result<(), ObjectiveError> {
    match policy.iter().zip(reference).position(|(p, r)| p != r) {
        None => Ok(()),
        Some(row) => Err(ObjectiveError::UnevenLengths { side, row, policy: policy[row], reference: reference[row] }),
    }
}
