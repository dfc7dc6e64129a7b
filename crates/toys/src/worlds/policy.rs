//! Tabular and log-linear policies, and the pairs that losses read.

use dfdx::prelude::*;
use tropism_core::{CoreError, PairLogps, numerics};
use tropism_objectives::Objective;

use super::{Loss, Traced};
use crate::ToyError;

/// Softmax policies of `rows` contexts over `columns` choices: row by row `log softmax(base + Φ θ)`.
///
/// A cell is a choice in a context, number `row · columns + column`.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    rows: usize,
    columns: usize,
    base: Option<Vec<f64>>,
    features: Option<(usize, Tensor<(usize, usize), f64, Cpu>)>,
}

impl Policy {
    /// The logits themselves are the parameters.
    pub(crate) fn tabular(rows: usize, columns: usize) -> Self {
        Self { rows, columns, base: None, features: None }
    }

    /// Logits `base + Φ θ`; `features` hold `dim` numbers for each cell, cell by cell.
    pub(crate) fn log_linear(rows: usize, base: Vec<f64>, features: &[f64]) -> Result<Self, ToyError> {
        let (cells, dim) = (base.len(), features.len() / base.len().max(1));
        CoreError::check_size("features", cells * dim, features.len())?;
        // the product needs them dimension by dimension
        let turned: Vec<f64> = (0..dim).flat_map(|d| (0..cells).map(move |c| features[c * dim + d])).collect();
        let features = numerics::from_f64(&Cpu::default(), &turned, (dim, cells))?;
        Ok(Self { rows, columns: cells / rows.max(1), base: Some(base), features: Some((dim, features)) })
    }

    /// How many parameters there are.
    pub(crate) fn parameters(&self) -> usize {
        self.features.as_ref().map_or(self.rows * self.columns, |(dim, _)| *dim)
    }

    /// Log-probabilities of all cells, on the tape of the parameters.
    pub(crate) fn logps<T: Tape<f64, Cpu>>(
        &self,
        parameters: Tensor<(usize,), f64, Cpu, T>,
    ) -> Result<Tensor<(usize,), f64, Cpu, T>, ToyError> {
        CoreError::check_size("parameters", self.parameters(), parameters.shape().0)?;
        let mut logits = parameters;
        if let Some((_, features)) = &self.features {
            logits = logits.try_matmul(features.clone()).map_err(device)?;
        }
        if let Some(base) = &self.base {
            let base: Tensor<(usize,), f64, Cpu> = numerics::from_f64(&Cpu::default(), base, (base.len(),))?;
            logits = logits.try_add(base).map_err(device)?;
        }
        let cells = self.rows * self.columns;
        let table = logits.try_reshape_like(&(self.rows, self.columns)).map_err(device)?;
        let logps = table.try_log_softmax::<Axis<1>>().map_err(device)?;
        Ok(logps.try_reshape_like(&(cells,)).map_err(device)?)
    }

    /// Log-probabilities of all cells at `parameters`.
    pub(crate) fn table(&self, parameters: &[f64]) -> Result<Vec<f64>, ToyError> {
        let parameters = numerics::from_f64(&Cpu::default(), parameters, (parameters.len(),))?;
        Ok(self.logps::<NoneTape>(parameters)?.as_vec())
    }
}

/// Pairs of completions, each a number of cells that are added up.
#[derive(Clone, Debug)]
pub(crate) struct PairBatch {
    /// how often each cell stands in each completion, `[cells, pairs]`
    chosen: Tensor<(usize, usize), f64, Cpu>,
    rejected: Tensor<(usize, usize), f64, Cpu>,
    lengths: [Vec<usize>; 2],
}

impl PairBatch {
    /// Pairs of completions given as lists of cells, of a policy with `cells` cells.
    pub(crate) fn sequences(cells: usize, chosen: &[&[usize]], rejected: &[&[usize]]) -> Result<Self, ToyError> {
        let counts = |side: &[&[usize]]| {
            let mut counts = vec![0.0; cells * side.len()];
            for (pair, sequence) in side.iter().enumerate() {
                sequence.iter().for_each(|cell| counts[cell * side.len() + pair] += 1.0);
            }
            numerics::from_f64(&Cpu::default(), &counts, (cells, side.len()))
        };
        let lengths = [chosen, rejected].map(|side| side.iter().map(|s| s.len()).collect());
        Ok(Self { chosen: counts(chosen)?, rejected: counts(rejected)?, lengths })
    }

    /// Pairs of single cells.
    pub(crate) fn cells(cells: usize, pairs: &[(usize, usize)]) -> Result<Self, ToyError> {
        let chosen: Vec<&[usize]> = pairs.iter().map(|(c, _)| std::slice::from_ref(c)).collect();
        let rejected: Vec<&[usize]> = pairs.iter().map(|(_, r)| std::slice::from_ref(r)).collect();
        Self::sequences(cells, &chosen, &rejected)
    }

    /// Log-probabilities of the pairs from those of the cells.
    pub(crate) fn logps<T: Tape<f64, Cpu>>(
        &self,
        cells: Tensor<(usize,), f64, Cpu, T>,
    ) -> Result<PairLogps<usize, f64, Cpu, T>, ToyError> {
        let again = cells.with_empty_tape();
        let chosen = cells.try_matmul(self.chosen.clone()).map_err(device)?;
        let rejected = again.try_matmul(self.rejected.clone()).map_err(device)?;
        Ok(PairLogps::new(chosen, rejected, &self.lengths[0], &self.lengths[1])?)
    }

    /// Log-probabilities of the pairs under a frozen table, to serve as reference.
    pub(crate) fn reference(&self, table: &[f64]) -> Result<PairLogps<usize, f64, Cpu>, ToyError> {
        self.logps(numerics::from_f64(&Cpu::default(), table, (table.len(),))?)
    }

    /// Mean loss of the pairs under `objective`, from the log-probabilities of the cells on the tape.
    pub(crate) fn loss(
        &self,
        objective: &Objective,
        cells: Traced,
        reference: &PairLogps<usize, f64, Cpu>,
    ) -> Result<Loss, ToyError> {
        let reference = objective.needs_reference().then(|| reference.clone());
        Ok(objective.pair_loss(self.logps(cells)?, reference)?.mean()?)
    }
}

/// An error of the tensor backend.
pub(crate) fn device(error: impl std::fmt::Debug) -> CoreError {
    CoreError::device(format!("{error:?}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn log_linear_with_unit_features_is_tabular() {
        let mut unit = vec![0.0; 16];
        (0..4).for_each(|i| unit[i * 5] = 1.0);
        let linear = Policy::log_linear(2, vec![0.1, 0.2, 0.3, 0.4], &unit).unwrap();
        let parameters = [1.0, -2.0, 0.5, 3.0];
        let logits: Vec<f64> = parameters.iter().zip([0.1, 0.2, 0.3, 0.4]).map(|(a, b)| a + b).collect();
        let (a, b) = (linear.table(&parameters).unwrap(), Policy::tabular(2, 2).table(&logits).unwrap());
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-14), "{a:?} {b:?}");
        assert!((b[0].exp() + b[1].exp() - 1.0).abs() < 1e-14);
        assert!(linear.table(&parameters[..3]).is_err());
    }

    #[test]
    fn pairs_add_up_their_cells() {
        let pairs = PairBatch::sequences(3, &[&[0, 0, 2], &[1]], &[&[1, 2], &[0, 1]]).unwrap();
        let logps = pairs.reference(&[-1.0, -10.0, -100.0]).unwrap();
        assert_eq!((logps.chosen.as_vec(), logps.rejected.as_vec()), (vec![-102.0, -10.0], vec![-110.0, -11.0]));
        assert_eq!(logps.chosen_lengths.as_vec(), [3.0, 1.0]);
    }
}
