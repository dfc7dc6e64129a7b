//! Log-probabilities of single completions.

use dfdx::prelude::*;

use crate::{CoreError, numerics};

/// Summed log-probabilities of `P` completions with their lengths, for supervised and unpaired losses.
///
/// Built by [`new`](Self::new) or [`TokenLogps::sum`](crate::TokenLogps::sum), which check the contents.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SequenceLogps<P: Dim, E: Dtype, D: Device<E>, T = NoneTape> {
    /// Log-probability of each completion in nats, summed over its counted tokens, `[P]`; carries the tape.
    pub logps: Tensor<(P,), E, D, T>,
    /// Counted tokens of each completion, `[P]`, whole numbers; 0 for an empty completion.
    pub lengths: Tensor<(P,), E, D>,
}

impl<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>> SequenceLogps<P, E, D, T> {
    /// Gathers sums and lengths.
    ///
    /// # Errors
    /// [`CoreError::Empty`] without rows, [`CoreError::SizeMismatch`] unless there is one length per row,
    /// [`CoreError::NotFinite`] for a NaN or infinite log-probability.
    pub fn new(logps: Tensor<(P,), E, D, T>, lengths: &[usize]) -> Result<Self, CoreError> {
        check_logps("logps", &logps)?;
        let lengths = lengths_like(&logps, "lengths", lengths)?;
        Ok(Self { logps, lengths })
    }

    /// A second use of the same values: same identity, with an empty tape of its own.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self { logps: self.logps.with_empty_tape(), lengths: self.lengths.clone() }
    }

    /// A copy of the values outside any tape.
    ///
    /// # Errors
    /// [`CoreError::Device`].
    pub fn detach(&self) -> Result<SequenceLogps<P, E, D>, CoreError> {
        Ok(SequenceLogps { logps: numerics::detach(&self.logps)?, lengths: self.lengths.clone() })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.logps.shape().0.size()
    }
}

/// Fails when `logps` is empty or holds a value that is not finite.
pub(crate) fn check_logps<P: Dim, E: Dtype, D: Device<E>, T>(
    what: &'static str,
    logps: &Tensor<(P,), E, D, T>,
) -> Result<(), CoreError> {
    if logps.shape().0.size() == 0 {
        return Err(CoreError::Empty { what });
    }
    CoreError::check_finite(what, &numerics::to_f64(logps))
}

/// Lengths as a tensor of the shape and device of `logps`.
pub(crate) fn lengths_like<P: Dim, E: Dtype, D: Device<E>, T>(
    logps: &Tensor<(P,), E, D, T>,
    what: &'static str,
    lengths: &[usize],
) -> Result<Tensor<(P,), E, D>, CoreError> {
    CoreError::check_size(what, logps.shape().0.size(), lengths.len())?;
    let lengths: Vec<f64> = lengths.iter().map(|&n| n as f64).collect();
    numerics::from_f64(logps.device(), &lengths, *logps.shape())
}
