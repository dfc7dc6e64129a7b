//! Token log-probabilities and the mask of the values that count.

use dfdx::prelude::*;

use crate::{CoreError, SequenceLogps, numerics};

/// Token log-probabilities `[B, L]` in nats with the mask of the values that count.
///
/// The mask is true on completion tokens and false on prompt and padding. Whatever stands in a masked cell, NaN and
/// −∞ included, reaches neither the sums nor the gradient.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::TokenLogps;
///
/// let logps = Cpu::default().tensor([[-1.0_f64, f64::NAN], [-0.5, -0.25]]);
/// let rows = TokenLogps::new(logps.leaky_trace(), &[true, false, true, true])?.sum()?;
/// assert_eq!((rows.logps.array(), rows.lengths.array()), ([-1.0, -0.75], [1.0, 2.0]));
/// assert_eq!(rows.logps.sum().backward().get(&logps).array(), [[1.0, 0.0], [1.0, 1.0]]);
/// # Ok::<(), tropism_core::CoreError>(())
/// ```
#[derive(Clone, Debug)]
pub struct TokenLogps<B: Dim, L: Dim, E: Dtype, D: Device<E>, T = NoneTape> {
    logps: Tensor<(B, L), E, D, T>,
    mask: Tensor<(B, L), bool, D>,
    counts: Vec<usize>,
}

impl<B: Dim, L: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>> TokenLogps<B, L, E, D, T> {
    /// Joins log-probabilities with their mask, given row by row.
    ///
    /// # Errors
    /// [`CoreError::Empty`] without rows or columns, [`CoreError::SizeMismatch`] unless the mask has `B · L` entries,
    /// [`CoreError::NotFinite`] for a selected cell that is NaN or infinite.
    pub fn new(logps: Tensor<(B, L), E, D, T>, mask: &[bool]) -> Result<Self, CoreError> {
        let (rows, columns) = *logps.shape();
        if rows.size() * columns.size() == 0 {
            return Err(CoreError::Empty { what: "token logps" });
        }
        CoreError::check_size("mask", rows.size() * columns.size(), mask.len())?;
        check_selected(&numerics::to_f64(&logps), mask, columns.size())?;
        let counts = mask.chunks(columns.size()).map(|row| row.iter().filter(|&&m| m).count()).collect();
        // Devices build tensors from floats for certain; a comparison turns them into booleans.
        let ones: Vec<f64> = mask.iter().map(|&m| f64::from(u8::from(m))).collect();
        let ones: Tensor<(B, L), E, D> = numerics::from_f64(logps.device(), &ones, (rows, columns))?;
        let mask = ones.try_gt(numerics::scalar::<E>(0.5)?).map_err(CoreError::device)?;
        Ok(Self { logps, mask, counts })
    }

    /// Counted tokens of each row.
    pub fn counts(&self) -> &[usize] {
        &self.counts
    }

    /// Sums over the mask, with the tape, and counted tokens as lengths; see [`masked_sum`](numerics::masked_sum). A row
    /// without counted tokens sums to 0.
    ///
    /// # Errors
    /// [`CoreError::NotFinite`] when a sum overflows; [`CoreError::Device`].
    pub fn sum(self) -> Result<SequenceLogps<B, E, D, T>, CoreError> {
        SequenceLogps::new(numerics::masked_sum(self.logps, &self.mask)?, &self.counts)
    }
}

/// Fails on the first selected cell that is not finite.
fn check_selected(values: &[f64], mask: &[bool], columns: usize) -> Result<(), CoreError> {
    match values.iter().zip(mask).position(|(v, &m)| m && !v.is_finite()) {
        None => Ok(()),
        Some(at) => Err(CoreError::NotFinite { what: "token logps", row: at / columns, value: values[at] }),
    }
}
