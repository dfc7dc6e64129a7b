//! Figures per row under TRL's names.

use dfdx::prelude::*;
use tropism_core::numerics::to_f64;
use tropism_core::{CoreError, Diagnostics, PairLogps, TokenLogps};

use crate::CreditError;

/// 1 or 0.
fn flag(b: bool) -> f64 {
    f64::from(u8::from(b))
}

/// Summed log-probabilities, log-ratios and lengths of both sides of pairs; chosen first.
pub(crate) struct PairSums {
    pub(crate) logps: [Vec<f64>; 2],
    pub(crate) ratios: [Vec<f64>; 2],
    pub(crate) lengths: [Vec<f64>; 2],
}

impl PairSums {
    /// `rewards/…` (`beta` times log-ratios), displacement, `logps/…`, `lengths/…`.
    pub(crate) fn diagnostics(self, beta: f64) -> Result<Diagnostics, CoreError> {
        let [chosen, rejected] = &self.ratios;
        let each = |f: fn(f64, f64) -> f64| chosen.iter().zip(rejected).map(|(&c, &r)| f(c, r)).collect::<Vec<f64>>();
        let times = |side: &[f64]| side.iter().map(|h| beta * h).collect::<Vec<f64>>();
        let mut found = Diagnostics::default();
        found.push("rewards/margins", times(&each(|c, r| c - r)))?;
        found.push("rewards/accuracies", each(|c, r| flag(c > r)))?;
        found.push("rewards/ties", each(|c, r| flag(c == r)))?;
        found.push("rewards/chosen", times(chosen))?;
        found.push("rewards/rejected", times(rejected))?;
        found.push("displacement/chosen", chosen.clone())?;
        found.push("displacement/fell", chosen.iter().map(|&h| flag(h < 0.0)).collect())?;
        let ([logps_chosen, logps_rejected], [chosen, rejected]) = (self.logps, self.lengths);
        found.push("logps/chosen", logps_chosen)?;
        found.push("logps/rejected", logps_rejected)?;
        found.push("lengths/chosen", chosen)?;
        found.push("lengths/rejected", rejected)?;
        Ok(found)
    }
}

/// Sums of each row's cells.
pub(crate) fn row_sums(cells: &[f64], columns: usize) -> Vec<f64> {
    cells.chunks(columns).map(|row| row.iter().sum()).collect()
}

/// Log-probabilities in counted cells, 0 elsewhere.
pub(crate) fn counted<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    tokens: &TokenLogps<P, C, E, D, T>,
) -> Vec<f64> {
    tokens.values().iter().zip(tokens.mask()).map(|(&v, &m)| if m { v } else { 0.0 }).collect()
}

/// `one − other` in counted cells, 0 elsewhere, after a check that both count the same cells.
pub(crate) fn log_ratios<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>, R: Tape<E, D>>(
    what: &'static str,
    one: &TokenLogps<P, C, E, D, T>,
    other: &TokenLogps<P, C, E, D, R>,
) -> Result<Vec<f64>, CreditError> {
    let (rows, columns) = one.size();
    CoreError::check_size(what, rows * columns, other.mask().len())?;
    CoreError::check_size(what, rows, other.size().0)?;
    match one.mask().iter().zip(other.mask()).position(|(a, b)| a != b) {
        Some(at) => Err(CreditError::UnevenMasks { what, row: at / columns, column: at % columns }),
        None => Ok(counted(one).iter().zip(counted(other)).map(|(a, b)| a - b).collect()),
    }
}

impl PairSums {
    /// Reads off both models' sums, after a check that they scored the same tokens.
    pub(crate) fn of<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        policy: &PairLogps<P, E, D, T>,
        reference: &PairLogps<P, E, D>,
    ) -> Result<Self, CreditError> {
        CoreError::check_size("reference logps", policy.rows(), reference.rows())?;
        let lengths = [to_f64(&policy.chosen_lengths), to_f64(&policy.rejected_lengths)];
        let theirs = [to_f64(&reference.chosen_lengths), to_f64(&reference.rejected_lengths)];
        for (k, what) in ["chosen reference completion", "rejected reference completion"].into_iter().enumerate() {
            check_lengths(what, &lengths[k], &theirs[k])?;
        }
        let logps = [to_f64(&policy.chosen), to_f64(&policy.rejected)];
        let reference = [to_f64(&reference.chosen), to_f64(&reference.rejected)];
        let ratios = [0, 1].map(|k| logps[k].iter().zip(&reference[k]).map(|(p, r)| p - r).collect());
        Ok(Self { logps, ratios, lengths })
    }
}

/// Fails on the first row whose numbers of tokens differ.
pub(crate) fn check_lengths(what: &'static str, policy: &[f64], other: &[f64]) -> Result<(), CreditError> {
    match policy.iter().zip(other).position(|(p, o)| p != o) {
        None => Ok(()),
        Some(row) => Err(CreditError::UnevenLengths { what, row, expected: policy[row], found: other[row] }),
    }
}
