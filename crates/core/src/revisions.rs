//! Log-probabilities of pairs, each also written as a revision of a shown answer.

use dfdx::prelude::*;

use crate::{CoreError, PairLogps};

/// Both completions of `P` pairs in three contexts: the prompt alone, the prompt with the rejected completion shown, and the
/// prompt with the chosen completion shown.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RevisionLogps<P: Dim, E: Dtype, D: Device<E>, T = NoneTape> {
    /// Given the prompt alone.
    pub plain: PairLogps<P, E, D, T>,
    /// Given the prompt and the rejected completion; its `rejected` side repeats what is shown.
    pub after_rejected: PairLogps<P, E, D, T>,
    /// Given the prompt and the chosen completion; its `chosen` side repeats what is shown.
    pub after_chosen: PairLogps<P, E, D, T>,
}

impl<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>> RevisionLogps<P, E, D, T> {
    /// Joins the three contexts, row by row.
    ///
    /// # Errors
    /// [`CoreError::SizeMismatch`] when they differ in rows.
    ///
    /// ```
    /// use dfdx::prelude::*;
    /// use tropism_core::{PairLogps, RevisionLogps};
    ///
    /// let dev = Cpu::default();
    /// let pair = |w, l| PairLogps::new(dev.tensor([w]), dev.tensor([l]), &[3], &[4]);
    /// let revisions = RevisionLogps::new(pair(-3.0_f64, -4.0)?, pair(-2.5, -0.5)?, pair(-0.5, -5.0)?)?;
    /// assert_eq!(revisions.rows(), 1);
    /// # Ok::<(), tropism_core::CoreError>(())
    /// ```
    pub fn new(
        plain: PairLogps<P, E, D, T>,
        after_rejected: PairLogps<P, E, D, T>,
        after_chosen: PairLogps<P, E, D, T>,
    ) -> Result<Self, CoreError> {
        CoreError::check_size("logps after the rejected completion", plain.rows(), after_rejected.rows())?;
        CoreError::check_size("logps after the chosen completion", plain.rows(), after_chosen.rows())?;
        Ok(Self { plain, after_rejected, after_chosen })
    }

    /// Number of pairs.
    pub fn rows(&self) -> usize {
        self.plain.rows()
    }

    /// A second use of the same values: same identity, with an empty tape of its own.
    #[must_use]
    pub fn fork(&self) -> Self {
        let (after_rejected, after_chosen) = (self.after_rejected.fork(), self.after_chosen.fork());
        Self { plain: self.plain.fork(), after_rejected, after_chosen }
    }

    /// A copy of the values outside any tape.
    ///
    /// # Errors
    /// [`CoreError::Device`].
    pub fn detach(&self) -> Result<RevisionLogps<P, E, D>, CoreError> {
        let (after_rejected, after_chosen) = (self.after_rejected.detach()?, self.after_chosen.detach()?);
        Ok(RevisionLogps { plain: self.plain.detach()?, after_rejected, after_chosen })
    }
}
