//! Token log-probabilities and the mask of the values that count.

use dfdx::prelude::*;

use crate::masked::Masked;
use crate::{CoreError, SequenceLogps};

/// Token log-probabilities `[B, L]` in nats with the mask of the values that count.
///
/// The mask is true on completion tokens and false on prompt and padding. Whatever stands in a masked cell, NaN and
/// −∞ included, reaches neither the sums nor the gradient. The few losses that also score the prompt find it through
/// [`with_prompt`](Self::with_prompt).
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
    /// Completion and prompt together.
    cells: Masked<B, L, E, D, T>,
    completion: Vec<bool>,
    prompt: Option<Vec<bool>>,
    counts: Vec<usize>,
}

impl<B: Dim, L: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>> TokenLogps<B, L, E, D, T> {
    /// Joins log-probabilities with their mask, given row by row.
    ///
    /// # Errors
    /// [`CoreError::Empty`] without rows or columns, [`CoreError::SizeMismatch`] unless the mask has `B · L` entries,
    /// [`CoreError::NotFinite`] for a selected cell that is NaN or infinite.
    pub fn new(logps: Tensor<(B, L), E, D, T>, mask: &[bool]) -> Result<Self, CoreError> {
        let cells = Masked::new("token logps", logps, mask)?;
        let counts = cells.counts();
        Ok(Self { cells, completion: mask.to_vec(), prompt: None, counts })
    }

    /// Names the cells that hold prompt tokens; padding is in neither mask.
    ///
    /// # Errors
    /// [`CoreError::SizeMismatch`] unless the mask has `B · L` entries, [`CoreError::NotFinite`] for a prompt token that
    /// is NaN or infinite, [`CoreError::Overlap`] when a cell is in both masks.
    pub fn with_prompt(mut self, prompt: &[bool]) -> Result<Self, CoreError> {
        self.cells.widen("prompt logps", prompt)?;
        match self.completion.iter().zip(prompt).position(|(&c, &p)| c && p) {
            Some(at) => Err(CoreError::Overlap { row: at / self.size().1, column: at % self.size().1 }),
            None => Ok(Self { prompt: Some(prompt.to_vec()), ..self }),
        }
    }

    /// Rows and columns.
    pub fn size(&self) -> (usize, usize) {
        self.cells.size()
    }

    /// Counted tokens of each row.
    pub fn counts(&self) -> &[usize] {
        &self.counts
    }

    /// Which cells hold completion tokens, row by row.
    pub fn mask(&self) -> &[bool] {
        &self.completion
    }

    /// Which cells hold prompt tokens, row by row, if it was said.
    pub fn prompt_mask(&self) -> Option<&[bool]> {
        self.prompt.as_deref()
    }

    /// Log-probabilities row by row as f64, 0 in cells of neither mask.
    pub fn values(&self) -> Vec<f64> {
        self.cells.values()
    }

    /// A second use of the same values: same identity, with an empty tape of its own.
    #[must_use]
    pub fn fork(&self) -> Self {
        let (completion, prompt, counts) = (self.completion.clone(), self.prompt.clone(), self.counts.clone());
        Self { cells: self.cells.fork(), completion, prompt, counts }
    }

    /// A copy of the values outside any tape.
    ///
    /// # Errors
    /// [`CoreError::Device`].
    pub fn detach(&self) -> Result<TokenLogps<B, L, E, D>, CoreError> {
        let (completion, prompt, counts) = (self.completion.clone(), self.prompt.clone(), self.counts.clone());
        Ok(TokenLogps { cells: self.cells.detach()?, completion, prompt, counts })
    }

    /// A figure per row with the given gradient in the row's tokens: `values` `[B]`, `slopes` `[B, L]` row by row, of which
    /// those outside completion and prompt are ignored.
    ///
    /// # Errors
    /// [`CoreError::SizeMismatch`]; [`CoreError::Device`].
    pub fn attach(self, values: &[f64], slopes: &[f64]) -> Result<Tensor<(B,), E, D, T>, CoreError> {
        self.cells.attach(values, slopes)
    }

    /// `Σ weights · logps` over the completion tokens of each row, with the row's tokens as lengths.
    ///
    /// # Errors
    /// As [`attach`](Self::attach); [`CoreError::NotFinite`] when a sum overflows.
    pub fn weighted_sum(self, weights: &[f64]) -> Result<SequenceLogps<B, E, D, T>, CoreError> {
        let columns = self.size().1;
        CoreError::check_size("token weights", self.completion.len(), weights.len())?;
        let kept = weights.iter().zip(&self.completion).map(|(&w, &m)| if m { w } else { 0.0 });
        let slopes: Vec<f64> = kept.collect();
        let each: Vec<f64> = self.values().iter().zip(&slopes).map(|(v, w)| v * w).collect();
        let sums: Vec<f64> = each.chunks(columns).map(|row| row.iter().sum()).collect();
        let counts = self.counts.clone();
        SequenceLogps::new(self.attach(&sums, &slopes)?, &counts)
    }

    /// Sums over the mask, with the tape, and counted tokens as lengths; see
    /// [`masked_sum`](crate::numerics::masked_sum). A row without counted tokens sums to 0.
    ///
    /// # Errors
    /// [`CoreError::NotFinite`] when a sum overflows; [`CoreError::Device`].
    pub fn sum(self) -> Result<SequenceLogps<B, E, D, T>, CoreError> {
        if self.prompt.is_some() {
            let ones = vec![1.0; self.completion.len()];
            return self.weighted_sum(&ones);
        }
        SequenceLogps::new(self.cells.sum()?, &self.counts)
    }
}
