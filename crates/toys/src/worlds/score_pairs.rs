//! Pairs of single figures: entries of a table, or linear scores of features.

use dfdx::prelude::*;
use tropism_core::{Columns, CoreError, LossTerms, PairLogps, numerics};
use tropism_objectives::{Batch, Objective};

use super::policy::device;
use super::{Loss, Traced};
use crate::ToyError;

/// Pairs on the tape.
type TracedTerms = LossTerms<usize, f64, Cpu, OwnedTape<f64, Cpu>>;

/// Pairs whose log-probabilities follow from one vector: a table of log-probabilities, or the weights of a linear scorer.
///
/// Every completion counts as one token.
#[derive(Clone, Debug)]
pub(crate) struct ScorePairs {
    sides: [Side; 2],
    rows: usize,
}

#[derive(Clone, Debug)]
enum Side {
    /// entries of the vector
    Cells(Vec<usize>),
    /// products with the vector, `[dim, pairs]`
    Features(Tensor<(usize, usize), f64, Cpu>),
}

impl ScorePairs {
    /// Pairs of entries, chosen first.
    pub(crate) fn cells(pairs: &[(usize, usize)]) -> Self {
        let (chosen, rejected): (Vec<_>, Vec<_>) = pairs.iter().copied().unzip();
        Self { rows: pairs.len(), sides: [Side::Cells(chosen), Side::Cells(rejected)] }
    }

    /// Pairs of points with `dim` features each, pair by pair; the scores are their log-ratios.
    pub(crate) fn features(dim: usize, chosen: &[f64], rejected: &[f64]) -> Result<Self, ToyError> {
        CoreError::check_size("features of the rejected", chosen.len(), rejected.len())?;
        let rows = chosen.len() / dim.max(1);
        // the product needs them dimension by dimension
        let turned = |points: &[f64]| -> Vec<f64> {
            (0..dim).flat_map(|d| (0..rows).map(move |row| (row, d))).map(|(row, d)| points[row * dim + d]).collect()
        };
        let side = |points| numerics::from_f64(&Cpu::default(), &turned(points), (dim, rows)).map(Side::Features);
        Ok(Self { rows, sides: [side(chosen)?, side(rejected)?] })
    }

    /// Log-probabilities of the pairs.
    pub(crate) fn logps<T: Tape<f64, Cpu>>(
        &self,
        of: Tensor<(usize,), f64, Cpu, T>,
    ) -> Result<PairLogps<usize, f64, Cpu, T>, ToyError> {
        let again = of.with_empty_tape();
        let lengths = vec![1; self.rows];
        Ok(PairLogps::new(self.sides[0].of(of)?, self.sides[1].of(again)?, &lengths, &lengths)?)
    }

    /// Log-probabilities of the pairs outside any tape, to serve as reference.
    pub(crate) fn frozen(&self, of: &[f64]) -> Result<PairLogps<usize, f64, Cpu>, ToyError> {
        self.logps(numerics::from_f64(&Cpu::default(), of, (of.len(),))?)
    }

    /// Losses of the pairs, for a method that reads `columns`; the reference goes to methods that read one.
    pub(crate) fn terms(
        &self,
        objective: &Objective,
        of: Traced,
        reference: &PairLogps<usize, f64, Cpu>,
        columns: Columns,
    ) -> Result<TracedTerms, ToyError> {
        let reference = objective.needs_reference().then(|| reference.clone());
        let batch = Batch::<usize, usize, f64, Cpu, _>::pairs(self.logps(of)?, reference);
        Ok(objective.loss(batch.with_columns(columns))?)
    }

    /// Mean loss of the pairs.
    pub(crate) fn loss(
        &self,
        objective: &Objective,
        of: Traced,
        reference: &PairLogps<usize, f64, Cpu>,
    ) -> Result<Loss, ToyError> {
        Ok(self.terms(objective, of, reference, Columns::default())?.mean()?)
    }
}

impl Side {
    fn of<T: Tape<f64, Cpu>>(
        &self,
        vector: Tensor<(usize,), f64, Cpu, T>,
    ) -> Result<Tensor<(usize,), f64, Cpu, T>, ToyError> {
        match self {
            Side::Cells(cells) => pick(vector, cells),
            Side::Features(features) => Ok(vector.try_matmul(features.clone()).map_err(device)?),
        }
    }
}

/// Entries of a vector, on its tape.
pub(crate) fn pick<T: Tape<f64, Cpu>>(
    vector: Tensor<(usize,), f64, Cpu, T>,
    entries: &[usize],
) -> Result<Tensor<(usize,), f64, Cpu, T>, ToyError> {
    let at = Cpu::default().try_tensor_from_vec(entries.to_vec(), (entries.len(),)).map_err(device)?;
    Ok(vector.try_gather(at).map_err(device)?)
}

/// Inner product.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::worlds::gradient;
    use tropism_objectives::Dpo;

    #[test]
    fn cells_and_features_say_the_same() {
        let cells = ScorePairs::cells(&[(0, 2), (2, 1)]);
        let units = ScorePairs::features(3, &[1.0, 0.0, 0.0, 0.0, 0.0, 1.0], &[0.0, 0.0, 1.0, 0.0, 1.0, 0.0]).unwrap();
        let at = [0.5, -2.0, 3.0];
        let objective = Dpo::default().with_beta(1.0).into();
        let both = [cells, units].map(|pairs| {
            let logps = pairs.frozen(&at).unwrap();
            assert_eq!((logps.chosen.as_vec(), logps.rejected.as_vec()), (vec![0.5, 3.0], vec![3.0, -2.0]));
            let reference = pairs.frozen(&[0.0; 3]).unwrap();
            gradient(&at, |x| pairs.loss(&objective, x, &reference)).unwrap()
        });
        assert_eq!(both[0], both[1]);
        let push = 0.5 / (1.0 + (-2.5f64).exp());
        assert!((both[0].1[0] + push).abs() < 1e-12, "{both:?}");
        assert!(ScorePairs::features(3, &[0.0; 6], &[0.0; 3]).is_err());
    }
}
