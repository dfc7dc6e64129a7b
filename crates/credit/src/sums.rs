//! Figures of completions, summed over their tokens.

use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use tropism_core::{CoreError, numerics};

/// A figure of each of `P` completions, summed over its tokens, with their number.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TokenSums<P: Dim, E: Dtype, D: Device<E>, T = NoneTape> {
    /// Sums over the completions' tokens, `[P]`; carry the tape.
    pub sums: Tensor<(P,), E, D, T>,
    /// Tokens of each completion; 0 for an empty one.
    pub lengths: Vec<usize>,
}

impl<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>> TokenSums<P, E, D, T> {
    /// Joins sums and lengths.
    ///
    /// # Errors
    /// [`CoreError::Empty`] without rows, [`CoreError::SizeMismatch`] unless there is one length per row,
    /// [`CoreError::NotFinite`].
    pub fn new(sums: Tensor<(P,), E, D, T>, lengths: &[usize]) -> Result<Self, CoreError> {
        if sums.shape().0.size() == 0 {
            return Err(CoreError::Empty { what: "sums over tokens" });
        }
        CoreError::check_size("lengths", sums.shape().0.size(), lengths.len())?;
        CoreError::check_finite("sum over tokens", &numerics::to_f64(&sums))?;
        Ok(Self { sums, lengths: lengths.to_vec() })
    }

    /// Number of completions.
    pub fn rows(&self) -> usize {
        self.lengths.len()
    }
}

/// How a completion's figures are put together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalization {
    /// Divided by its number of tokens or steps (0 counts as 1).
    #[default]
    Mean,
    /// Summed.
    Sum,
}
