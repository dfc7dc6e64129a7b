//! Log-probabilities of preference pairs.

use dfdx::prelude::*;

use crate::sequences::{check_logps, lengths_like};
use crate::{CoreError, SequenceLogps, TokenLogps, numerics};

/// Summed log-probabilities of `P` pairs of completions, chosen and rejected, with their lengths.
///
/// Built by [`new`](Self::new), [`from_sequences`](Self::from_sequences) or [`from_tokens`](Self::from_tokens), which
/// check the contents. Of the two sides,
/// trace one with the gradient store and give the other an empty tape (`retaped`): losses merge them.
///
/// Losses that divide by a length treat 0 as 1, so an empty completion scores 0 instead of NaN.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::{CoreError, PairLogps};
///
/// let dev = Cpu::default();
/// let pairs = PairLogps::new(dev.tensor([-10.0_f64]), dev.tensor([-12.0]), &[5], &[8])?;
/// assert_eq!((pairs.rows(), pairs.rejected_lengths.array()), (1, [8.0]));
/// let nan = PairLogps::new(dev.tensor([f64::NAN]), dev.tensor([-12.0]), &[5], &[8]);
/// assert!(matches!(nan, Err(CoreError::NotFinite { row: 0, .. })));
/// # Ok::<(), CoreError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PairLogps<P: Dim, E: Dtype, D: Device<E>, T = NoneTape> {
    /// Log-probability of each chosen completion in nats, summed over its counted tokens, `[P]`.
    pub chosen: Tensor<(P,), E, D, T>,
    /// Log-probability of each rejected completion in nats, summed over its counted tokens, `[P]`.
    pub rejected: Tensor<(P,), E, D, T>,
    /// Counted tokens of each chosen completion, `[P]`, whole numbers.
    pub chosen_lengths: Tensor<(P,), E, D>,
    /// Counted tokens of each rejected completion, `[P]`, whole numbers.
    pub rejected_lengths: Tensor<(P,), E, D>,
}

impl<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>> PairLogps<P, E, D, T> {
    /// Gathers both sides of the pairs.
    ///
    /// # Errors
    /// [`CoreError::Empty`] without rows, [`CoreError::SizeMismatch`] when the sides or the lengths differ in number,
    /// [`CoreError::NotFinite`] for a NaN or infinite log-probability.
    pub fn new(
        chosen: Tensor<(P,), E, D, T>,
        rejected: Tensor<(P,), E, D, T>,
        chosen_lengths: &[usize],
        rejected_lengths: &[usize],
    ) -> Result<Self, CoreError> {
        CoreError::check_size("rejected logps", chosen.shape().0.size(), rejected.shape().0.size())?;
        check_logps("chosen logps", &chosen)?;
        check_logps("rejected logps", &rejected)?;
        let chosen_lengths = lengths_like(&chosen, "chosen lengths", chosen_lengths)?;
        let rejected_lengths = lengths_like(&rejected, "rejected lengths", rejected_lengths)?;
        Ok(Self { chosen, rejected, chosen_lengths, rejected_lengths })
    }

    /// Joins two batches of completions, row by row.
    ///
    /// # Errors
    /// [`CoreError::SizeMismatch`] when they differ in rows.
    pub fn from_sequences(
        chosen: SequenceLogps<P, E, D, T>,
        rejected: SequenceLogps<P, E, D, T>,
    ) -> Result<Self, CoreError> {
        CoreError::check_size("rejected logps", chosen.rows(), rejected.rows())?;
        Ok(Self {
            chosen: chosen.logps,
            rejected: rejected.logps,
            chosen_lengths: chosen.lengths,
            rejected_lengths: rejected.lengths,
        })
    }

    /// Sums token log-probabilities over their masks; the sides may be padded to different widths.
    ///
    /// # Errors
    /// As [`from_sequences`](Self::from_sequences) and [`TokenLogps::sum`].
    pub fn from_tokens<L: Dim, M: Dim>(
        chosen: TokenLogps<P, L, E, D, T>,
        rejected: TokenLogps<P, M, E, D, T>,
    ) -> Result<Self, CoreError> {
        Self::from_sequences(chosen.sum()?, rejected.sum()?)
    }

    /// A second use of the same values: same identity, with an empty tape of its own.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self {
            chosen: self.chosen.with_empty_tape(),
            rejected: self.rejected.with_empty_tape(),
            chosen_lengths: self.chosen_lengths.clone(),
            rejected_lengths: self.rejected_lengths.clone(),
        }
    }

    /// A copy of the values outside any tape, for instance a reference that equals the policy.
    ///
    /// # Errors
    /// [`CoreError::Device`].
    pub fn detach(&self) -> Result<PairLogps<P, E, D>, CoreError> {
        Ok(PairLogps {
            chosen: numerics::detach(&self.chosen)?,
            rejected: numerics::detach(&self.rejected)?,
            chosen_lengths: self.chosen_lengths.clone(),
            rejected_lengths: self.rejected_lengths.clone(),
        })
    }

    /// Number of pairs.
    pub fn rows(&self) -> usize {
        self.chosen.shape().0.size()
    }
}
