//! Token log-probabilities with the values of the states in which the tokens were chosen.

use dfdx::prelude::*;

use crate::{CoreError, ScoreTable, TokenLogps};

/// Token log-probabilities `[B, L]` with a differentiable value of each cell's state, such as the log-sum-exp of its logits.
///
/// Cell `t` of the values belongs to the state in which the token of cell `t` was chosen. A value may also count in the cell
/// that follows a row's last completion token: the state that the row was cut in.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ValuedTokens<B: Dim, L: Dim, E: Dtype, D: Device<E>, T = NoneTape> {
    /// Log-probabilities of the tokens.
    pub tokens: TokenLogps<B, L, E, D, T>,
    /// Values of the states.
    pub values: ScoreTable<B, L, E, D, T>,
}

impl<B: Dim, L: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>> ValuedTokens<B, L, E, D, T> {
    /// Joins tokens and values, cell by cell.
    ///
    /// # Errors
    /// [`CoreError::SizeMismatch`] when they differ in rows or columns, [`CoreError::MissingValue`] for a completion token
    /// without a value.
    ///
    /// ```
    /// use dfdx::prelude::*;
    /// use tropism_core::{CoreError, ScoreTable, TokenLogps, ValuedTokens};
    ///
    /// let dev = Cpu::default();
    /// let tokens = |mask: &[bool; 2]| TokenLogps::new(dev.tensor([[-0.5_f64, -1.0]]), mask);
    /// let values = || ScoreTable::new(dev.tensor([[2.0_f64, 1.5]]), &[true, false]);
    /// assert!(ValuedTokens::new(tokens(&[true, false])?, values()?).is_ok());
    /// let error = ValuedTokens::new(tokens(&[true, true])?, values()?);
    /// assert!(matches!(error, Err(CoreError::MissingValue { row: 0, column: 1 })));
    /// # Ok::<(), CoreError>(())
    /// ```
    pub fn new(tokens: TokenLogps<B, L, E, D, T>, values: ScoreTable<B, L, E, D, T>) -> Result<Self, CoreError> {
        CoreError::check_size("rows of values", tokens.size().0, values.size().0)?;
        CoreError::check_size("columns of values", tokens.size().1, values.size().1)?;
        match tokens.mask().iter().zip(values.mask()).position(|(&token, &value)| token && !value) {
            Some(at) => Err(CoreError::MissingValue { row: at / tokens.size().1, column: at % tokens.size().1 }),
            None => Ok(Self { tokens, values }),
        }
    }

    /// Number of rows and columns.
    pub fn size(&self) -> (usize, usize) {
        self.tokens.size()
    }

    /// A second use of the same values: same identity, with an empty tape of its own.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self { tokens: self.tokens.fork(), values: self.values.fork() }
    }
}
