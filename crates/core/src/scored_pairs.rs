//! Log-probabilities of pairs with a figure of each side that is trained as well.

use dfdx::prelude::*;

use crate::{CoreError, PairLogps, PairScores};

/// Pairs with a differentiable score of each completion beside its log-probability, such as an energy of hidden states.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ScoredPairs<P: Dim, E: Dtype, D: Device<E>, T = NoneTape> {
    /// Log-probabilities.
    pub pairs: PairLogps<P, E, D, T>,
    /// Scores.
    pub scores: PairScores<P, E, D, T>,
}

impl<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>> ScoredPairs<P, E, D, T> {
    /// Joins log-probabilities and scores, row by row.
    ///
    /// # Errors
    /// [`CoreError::SizeMismatch`] when they differ in rows.
    ///
    /// ```
    /// use dfdx::prelude::*;
    /// use tropism_core::{PairLogps, PairScores, ScoredPairs};
    ///
    /// let dev = Cpu::default();
    /// let pairs = PairLogps::new(dev.tensor([-3.0_f64]), dev.tensor([-4.0]), &[3], &[4])?;
    /// let scored = ScoredPairs::new(pairs, PairScores::new(dev.tensor([1.5]), dev.tensor([1.9]))?)?;
    /// assert_eq!(scored.rows(), 1);
    /// # Ok::<(), tropism_core::CoreError>(())
    /// ```
    pub fn new(pairs: PairLogps<P, E, D, T>, scores: PairScores<P, E, D, T>) -> Result<Self, CoreError> {
        CoreError::check_size("scores of pairs", pairs.rows(), scores.rows())?;
        Ok(Self { pairs, scores })
    }

    /// Number of pairs.
    pub fn rows(&self) -> usize {
        self.pairs.rows()
    }

    /// A second use of the same values: same identity, with an empty tape of its own.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self { pairs: self.pairs.fork(), scores: self.scores.fork() }
    }

    /// A copy of the values outside any tape.
    ///
    /// # Errors
    /// [`CoreError::Device`].
    pub fn detach(&self) -> Result<ScoredPairs<P, E, D>, CoreError> {
        Ok(ScoredPairs { pairs: self.pairs.detach()?, scores: self.scores.detach()? })
    }
}
