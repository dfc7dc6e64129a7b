//! Sampled completions token by token, for losses on rollouts.

use dfdx::prelude::*;
use tropism_core::{CoreError, TokenLogps, numerics};
use tropism_policy_gradient::Rollout;

use super::{Traced, device, pick};
use crate::ToyError;

/// Completions as a rectangle of a policy's cells, and which of them count.
#[derive(Clone, Debug)]
pub(crate) struct Completions {
    cells: Vec<usize>,
    mask: Vec<bool>,
    rows: usize,
}

/// A rollout of which the policy is on the tape.
pub(crate) type TracedRollout = Rollout<usize, usize, f64, Cpu, OwnedTape<f64, Cpu>>;

impl Completions {
    /// Completions given as lists of cells, each with whether it counts; padded to the longest.
    pub(crate) fn new(completions: &[Vec<(usize, bool)>]) -> Self {
        let columns = completions.iter().map(Vec::len).max().unwrap_or_default();
        let padded = completions.iter().flat_map(|c| (0..columns).map(|t| c.get(t).copied().unwrap_or((0, false))));
        let (cells, mask) = padded.unzip();
        Self { cells, mask, rows: completions.len() }
    }

    /// Completions of one token each.
    pub(crate) fn single(cells: &[usize]) -> Self {
        Self::new(&cells.iter().map(|&cell| vec![(cell, true)]).collect::<Vec<_>>())
    }

    /// Columns of the rectangle.
    pub(crate) fn columns(&self) -> usize {
        self.cells.len() / self.rows.max(1)
    }

    /// Which cells of the rectangle count, row by row.
    pub(crate) fn mask(&self) -> &[bool] {
        &self.mask
    }

    /// A rollout, from the log-probabilities of the policy's cells on the tape.
    pub(crate) fn rollout(&self, cells: Traced) -> Result<TracedRollout, ToyError> {
        Ok(Rollout::new(self.logps(cells)?))
    }

    /// Log-probabilities under a frozen table, of the old policy or the reference.
    pub(crate) fn frozen(&self, table: &[f64]) -> Result<TokenLogps<usize, usize, f64, Cpu>, ToyError> {
        self.logps::<NoneTape>(numerics::from_f64(&Cpu::default(), table, (table.len(),))?)
    }

    fn logps<T: Tape<f64, Cpu>>(
        &self,
        cells: Tensor<(usize,), f64, Cpu, T>,
    ) -> Result<TokenLogps<usize, usize, f64, Cpu, T>, ToyError> {
        CoreError::check_size("completions", self.rows * self.columns(), self.cells.len())?;
        let tokens = pick(cells, &self.cells)?.try_reshape_like(&(self.rows, self.columns())).map_err(device)?;
        Ok(TokenLogps::new(tokens, &self.mask)?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn masked_and_padded_cells_do_not_count() {
        let rows = Completions::new(&[vec![(2, true), (1, false), (0, true)], vec![(1, true)]]);
        assert_eq!((rows.columns(), rows.mask()), (3, &[true, false, true, true, false, false][..]));
        let sums = rows.frozen(&[-1.0, -10.0, -100.0]).unwrap().sum().unwrap();
        assert_eq!((sums.logps.as_vec(), sums.lengths.as_vec()), (vec![-101.0, -10.0], vec![2.0, 1.0]));
        assert_eq!(Completions::single(&[1, 0]).frozen(&[-1.0, -10.0]).unwrap().values(), [-10.0, -1.0]);
    }
}
