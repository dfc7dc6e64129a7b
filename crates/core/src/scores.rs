//! Predicted scalars: rewards of answers, aspects and steps.

use dfdx::prelude::*;

use crate::masked::Masked;
use crate::{CoreError, numerics};

/// Predicted scalars of preference pairs, for instance of a reward model.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PairScores<P: Dim, E: Dtype, D: Device<E>, T = NoneTape> {
    /// Score of each chosen completion, `[P]`.
    pub chosen: Tensor<(P,), E, D, T>,
    /// Score of each rejected completion, `[P]`.
    pub rejected: Tensor<(P,), E, D, T>,
}

impl<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>> PairScores<P, E, D, T> {
    /// Joins both sides.
    ///
    /// # Errors
    /// [`CoreError::Empty`], [`CoreError::SizeMismatch`], [`CoreError::NotFinite`].
    ///
    /// ```
    /// use dfdx::prelude::*;
    /// use tropism_core::PairScores;
    ///
    /// let dev = Cpu::default();
    /// let scores = PairScores::new(dev.tensor([1.0_f64, 2.0]), dev.tensor([0.5, 3.0]))?;
    /// assert_eq!(scores.rows(), 2);
    /// # Ok::<(), tropism_core::CoreError>(())
    /// ```
    pub fn new(chosen: Tensor<(P,), E, D, T>, rejected: Tensor<(P,), E, D, T>) -> Result<Self, CoreError> {
        CoreError::check_size("rejected scores", chosen.shape().0.size(), rejected.shape().0.size())?;
        for (what, side) in [("chosen scores", &chosen), ("rejected scores", &rejected)] {
            if side.shape().0.size() == 0 {
                return Err(CoreError::Empty { what });
            }
            CoreError::check_finite(what, &numerics::to_f64(side))?;
        }
        Ok(Self { chosen, rejected })
    }

    /// A second use of the same values: same identity, with an empty tape of its own.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self { chosen: self.chosen.with_empty_tape(), rejected: self.rejected.with_empty_tape() }
    }

    /// A copy of the values outside any tape.
    ///
    /// # Errors
    /// [`CoreError::Device`].
    pub fn detach(&self) -> Result<PairScores<P, E, D>, CoreError> {
        Ok(PairScores { chosen: numerics::detach(&self.chosen)?, rejected: numerics::detach(&self.rejected)? })
    }

    /// Number of pairs.
    pub fn rows(&self) -> usize {
        self.chosen.shape().0.size()
    }
}

/// Predicted scalars `[P, K]`: `K` aspects of an answer or `K` steps of a solution, of which the masked ones count.
#[derive(Clone, Debug)]
pub struct ScoreTable<P: Dim, K: Dim, E: Dtype, D: Device<E>, T = NoneTape> {
    cells: Masked<P, K, E, D, T>,
}

impl<P: Dim, K: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>> ScoreTable<P, K, E, D, T> {
    /// Joins scores with the mask of those that count, row by row.
    ///
    /// # Errors
    /// [`CoreError::Empty`], [`CoreError::SizeMismatch`], [`CoreError::NotFinite`] for a score that counts.
    pub fn new(scores: Tensor<(P, K), E, D, T>, mask: &[bool]) -> Result<Self, CoreError> {
        Ok(Self { cells: Masked::new("scores", scores, mask)? })
    }

    /// Rows and columns.
    pub fn size(&self) -> (usize, usize) {
        self.cells.size()
    }

    /// Which cells count, row by row.
    pub fn mask(&self) -> &[bool] {
        self.cells.mask()
    }

    /// Scores row by row as f64, 0 in cells that do not count.
    pub fn values(&self) -> Vec<f64> {
        self.cells.values()
    }

    /// A second use of the same values: same identity, with an empty tape of its own.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self { cells: self.cells.fork() }
    }

    /// A figure per row with the given gradient in its cells: `values` `[P]`, `slopes` `[P, K]` row by row.
    ///
    /// # Errors
    /// [`CoreError::SizeMismatch`]; [`CoreError::Device`].
    pub fn attach(self, values: &[f64], slopes: &[f64]) -> Result<Tensor<(P,), E, D, T>, CoreError> {
        self.cells.attach(values, slopes)
    }
}
