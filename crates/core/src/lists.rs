//! Log-probabilities of several answers to one prompt.

use dfdx::prelude::*;

use crate::CoreError;
use crate::masked::Masked;

/// Summed log-probabilities `[P, K]` of `K` answers to each of `P` prompts, in nats, with lengths; rows may hold fewer
/// answers, which the mask says. What stands in a masked place reaches no figure and no gradient.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::ListLogps;
///
/// let logps = Cpu::default().tensor([[-1.0_f64, -2.0, f64::NAN]]);
/// let list = ListLogps::new(logps, &[true, true, false], &[4, 5, 0])?;
/// assert_eq!((list.size(), list.values()), ((1, 3), vec![-1.0, -2.0, 0.0]));
/// # Ok::<(), tropism_core::CoreError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ListLogps<P: Dim, K: Dim, E: Dtype, D: Device<E>, T = NoneTape> {
    cells: Masked<P, K, E, D, T>,
    lengths: Vec<usize>,
}

impl<P: Dim, K: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>> ListLogps<P, K, E, D, T> {
    /// Joins log-probabilities, the mask of the answers that are there, and their lengths in tokens, row by row.
    ///
    /// # Errors
    /// [`CoreError::Empty`] without prompts or places, [`CoreError::SizeMismatch`] unless mask and lengths have `P · K`
    /// entries, [`CoreError::NotFinite`] for an answer whose log-probability is NaN or infinite.
    pub fn new(logps: Tensor<(P, K), E, D, T>, mask: &[bool], lengths: &[usize]) -> Result<Self, CoreError> {
        let cells = Masked::new("list logps", logps, mask)?;
        CoreError::check_size("list lengths", mask.len(), lengths.len())?;
        Ok(Self { cells, lengths: lengths.to_vec() })
    }

    /// Prompts and places per prompt.
    pub fn size(&self) -> (usize, usize) {
        self.cells.size()
    }

    /// Which places hold an answer, row by row.
    pub fn mask(&self) -> &[bool] {
        self.cells.mask()
    }

    /// Tokens of each answer, row by row.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// Log-probabilities row by row as f64, 0 where there is no answer.
    pub fn values(&self) -> Vec<f64> {
        self.cells.values()
    }

    /// A figure per prompt with the given gradient in its answers: `values` `[P]`, `slopes` `[P, K]` row by row.
    ///
    /// # Errors
    /// [`CoreError::SizeMismatch`]; [`CoreError::Device`].
    pub fn attach(self, values: &[f64], slopes: &[f64]) -> Result<Tensor<(P,), E, D, T>, CoreError> {
        self.cells.attach(values, slopes)
    }

    /// A second use of the same values: same identity, with an empty tape of its own.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self { cells: self.cells.fork(), lengths: self.lengths.clone() }
    }

    /// A copy of the values outside any tape.
    ///
    /// # Errors
    /// [`CoreError::Device`].
    pub fn detach(&self) -> Result<ListLogps<P, K, E, D>, CoreError> {
        Ok(ListLogps { cells: self.cells.detach()?, lengths: self.lengths.clone() })
    }
}
