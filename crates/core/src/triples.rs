//! Log-probabilities of pairs with a third completion.

use dfdx::prelude::*;

use crate::{CoreError, PairLogps, SequenceLogps};

/// Pairs with a third completion each, such as a gold answer or a sample of the reference model.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TripleLogps<P: Dim, E: Dtype, D: Device<E>, T = NoneTape> {
    /// Chosen and rejected completions.
    pub pair: PairLogps<P, E, D, T>,
    /// The third completion of each prompt.
    pub third: SequenceLogps<P, E, D, T>,
}

impl<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>> TripleLogps<P, E, D, T> {
    /// Joins pairs and third completions, row by row.
    ///
    /// # Errors
    /// [`CoreError::SizeMismatch`] when they differ in rows.
    ///
    /// ```
    /// use dfdx::prelude::*;
    /// use tropism_core::{PairLogps, SequenceLogps, TripleLogps};
    ///
    /// let dev = Cpu::default();
    /// let pair = PairLogps::new(dev.tensor([-1.0_f64]), dev.tensor([-2.0]), &[1], &[1])?;
    /// let triple = TripleLogps::new(pair, SequenceLogps::new(dev.tensor([-3.0]), &[2])?)?;
    /// assert_eq!(triple.rows(), 1);
    /// # Ok::<(), tropism_core::CoreError>(())
    /// ```
    pub fn new(pair: PairLogps<P, E, D, T>, third: SequenceLogps<P, E, D, T>) -> Result<Self, CoreError> {
        CoreError::check_size("third logps", pair.rows(), third.rows())?;
        Ok(Self { pair, third })
    }

    /// Number of triples.
    pub fn rows(&self) -> usize {
        self.pair.rows()
    }

    /// A second use of the same values: same identity, with an empty tape of its own.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self { pair: self.pair.fork(), third: self.third.fork() }
    }

    /// A copy of the values outside any tape.
    ///
    /// # Errors
    /// [`CoreError::Device`].
    pub fn detach(&self) -> Result<TripleLogps<P, E, D>, CoreError> {
        Ok(TripleLogps { pair: self.pair.detach()?, third: self.third.detach()? })
    }
}
