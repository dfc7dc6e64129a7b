//! What the pairwise losses share: log-ratios, averages, diagnostics.

use dfdx::prelude::*;
use tropism_core::numerics::{detach, from_f64, scalar, to_f64};
use tropism_core::{CoreError, Diagnostics, PairLogps};

use crate::ObjectiveError;

/// A vector over the pairs.
pub(crate) type Rows<P, E, D, T> = Tensor<(P,), E, D, T>;

/// A vector over the pairs for each side.
pub(crate) struct Sides<P: Dim, E: Dtype, D: Device<E>, T> {
    /// Of the chosen completions.
    pub(crate) chosen: Rows<P, E, D, T>,
    /// Of the rejected completions.
    pub(crate) rejected: Rows<P, E, D, T>,
}

/// Lengths of both sides as f64.
pub(crate) struct Lengths {
    chosen: Vec<f64>,
    rejected: Vec<f64>,
}

impl Lengths {
    /// Reads the lengths of `pairs`.
    pub(crate) fn of<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(pairs: &PairLogps<P, E, D, T>) -> Self {
        Self { chosen: to_f64(&pairs.chosen_lengths), rejected: to_f64(&pairs.rejected_lengths) }
    }

    /// Divides the chosen vector by the chosen lengths and the rejected one by the rejected.
    pub(crate) fn average<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        sides: Sides<P, E, D, T>,
    ) -> Result<Sides<P, E, D, T>, CoreError> {
        Ok(Sides { chosen: divide(sides.chosen, &self.chosen)?, rejected: divide(sides.rejected, &self.rejected)? })
    }
}

/// `values / max(lengths, 1)`.
fn divide<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    values: Rows<P, E, D, T>,
    lengths: &[f64],
) -> Result<Rows<P, E, D, T>, CoreError> {
    let divisors: Vec<f64> = lengths.iter().map(|n| n.max(1.0)).collect();
    let divisors: Rows<P, E, D, NoneTape> = from_f64(values.device(), &divisors, *values.shape())?;
    values.try_div(divisors).map_err(CoreError::device)
}

/// Log-ratios `policy − reference` of both sides, after a check that both scored the same rows and tokens.
pub(crate) fn log_ratios<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: &PairLogps<P, E, D>,
) -> Result<Sides<P, E, D, T>, ObjectiveError> {
    CoreError::check_size("reference logps", policy.rows(), reference.rows())?;
    let (ours, theirs) = (Lengths::of(&policy), Lengths::of(reference));
    check_lengths("chosen", &ours.chosen, &theirs.chosen)?;
    check_lengths("rejected", &ours.rejected, &theirs.rejected)?;
    // The reference may be a clone of the policy, and a clone keeps the identity; see `detach`.
    let chosen = policy.chosen.try_sub(detach(&reference.chosen)?).map_err(CoreError::device)?;
    let rejected = policy.rejected.try_sub(detach(&reference.rejected)?).map_err(CoreError::device)?;
    Ok(Sides { chosen, rejected })
}

/// Fails on the first row whose lengths differ.
fn check_lengths(side: &'static str, policy: &[f64], reference: &[f64]) -> Result<(), ObjectiveError> {
    match policy.iter().zip(reference).position(|(p, r)| p != r) {
        None => Ok(()),
        Some(row) => Err(ObjectiveError::UnevenLengths { side, row, policy: policy[row], reference: reference[row] }),
    }
}

/// `scale · (chosen − rejected)`.
pub(crate) fn margin<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    Sides { chosen, rejected }: Sides<P, E, D, T>,
    scale: f64,
) -> Result<Rows<P, E, D, T>, CoreError> {
    let scale = scalar::<E>(scale)?;
    chosen.try_sub(rejected).and_then(|d| d.try_mul(scale)).map_err(CoreError::device)
}

/// Figures that are read off before the loss takes the tensors.
pub(crate) struct Seen {
    logps: [Vec<f64>; 2],
    lengths: [Vec<f64>; 2],
}

impl Seen {
    /// Reads log-probabilities and lengths of the policy.
    pub(crate) fn of<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(policy: &PairLogps<P, E, D, T>) -> Self {
        let Lengths { chosen, rejected } = Lengths::of(policy);
        let logps = [to_f64(&policy.chosen), to_f64(&policy.rejected)];
        Self { logps, lengths: [chosen, rejected] }
    }

    /// All figures of a pairwise loss whose rewards are `beta` times `scores`.
    pub(crate) fn with_scores<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        self,
        scores: &Sides<P, E, D, T>,
        beta: f64,
    ) -> Result<Diagnostics, CoreError> {
        let reward = |scores: Vec<f64>| scores.into_iter().map(|s| beta * s).collect::<Vec<f64>>();
        let (chosen, rejected) = (reward(to_f64(&scores.chosen)), reward(to_f64(&scores.rejected)));
        let each = |f: fn(f64, f64) -> f64| chosen.iter().zip(&rejected).map(|(&c, &r)| f(c, r)).collect::<Vec<f64>>();
        let ([logps_chosen, logps_rejected], [chosen_lengths, rejected_lengths]) = (self.logps, self.lengths);
        let mut diagnostics = Diagnostics::default();
        diagnostics.push("rewards/margins", each(|c, r| c - r))?;
        diagnostics.push("rewards/accuracies", each(|c, r| f64::from(u8::from(c > r))))?;
        diagnostics.push("rewards/ties", each(|c, r| f64::from(u8::from(c == r))))?;
        diagnostics.push("rewards/chosen", chosen)?;
        diagnostics.push("rewards/rejected", rejected)?;
        diagnostics.push("logps/chosen", logps_chosen)?;
        diagnostics.push("logps/rejected", logps_rejected)?;
        diagnostics.push("lengths/chosen", chosen_lengths)?;
        diagnostics.push("lengths/rejected", rejected_lengths)?;
        Ok(diagnostics)
    }
}
