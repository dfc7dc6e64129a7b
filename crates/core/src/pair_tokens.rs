//! Token log-probabilities of preference pairs.

use dfdx::prelude::*;

use crate::{CoreError, PairLogps, TokenLogps};

/// Token log-probabilities of `P` pairs, each side `[P, L]` with its mask; with `usize` columns the sides may differ in
/// width.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::{PairTokens, TokenLogps};
///
/// let dev = Cpu::default();
/// let side = |v: [f64; 2]| TokenLogps::new(dev.tensor([v]), &[true, true]);
/// let pairs = PairTokens::new(side([-1.0, -2.0])?, side([-0.5, -0.5])?)?;
/// assert_eq!(pairs.sum()?.rejected.array(), [-1.0]);
/// # Ok::<(), tropism_core::CoreError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PairTokens<P: Dim, L: Dim, E: Dtype, D: Device<E>, T = NoneTape> {
    /// Tokens of the chosen completions.
    pub chosen: TokenLogps<P, L, E, D, T>,
    /// Tokens of the rejected completions.
    pub rejected: TokenLogps<P, L, E, D, T>,
}

impl<P: Dim, L: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>> PairTokens<P, L, E, D, T> {
    /// Joins both sides.
    ///
    /// # Errors
    /// [`CoreError::SizeMismatch`] when they differ in rows.
    pub fn new(chosen: TokenLogps<P, L, E, D, T>, rejected: TokenLogps<P, L, E, D, T>) -> Result<Self, CoreError> {
        CoreError::check_size("rejected token logps", chosen.size().0, rejected.size().0)?;
        Ok(Self { chosen, rejected })
    }

    /// Number of pairs.
    pub fn rows(&self) -> usize {
        self.chosen.size().0
    }

    /// A second use of the same values: same identity, with an empty tape of its own.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self { chosen: self.chosen.fork(), rejected: self.rejected.fork() }
    }

    /// A copy of the values outside any tape.
    ///
    /// # Errors
    /// [`CoreError::Device`].
    pub fn detach(&self) -> Result<PairTokens<P, L, E, D>, CoreError> {
        Ok(PairTokens { chosen: self.chosen.detach()?, rejected: self.rejected.detach()? })
    }

    /// Sums over the completion masks.
    ///
    /// # Errors
    /// As [`TokenLogps::sum`].
    pub fn sum(self) -> Result<PairLogps<P, E, D, T>, CoreError> {
        PairLogps::from_sequences(self.chosen.sum()?, self.rejected.sum()?)
    }
}
