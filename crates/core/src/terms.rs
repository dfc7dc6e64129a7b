//! What a loss returns.

use dfdx::prelude::*;

use crate::{CoreError, Diagnostics, numerics};

/// Losses per row, before any mean, with each row's share of the denominator.
///
/// The loss of a step is `Σ losses / Σ weights` over **all** rows of the step. A trainer that splits the step into
/// micro-batches adds up the weights first and divides each part by the whole ([`into_scaled`](Self::into_scaled)):
/// then any split gives the same gradient. A weight is 1 for a pair and the number of tokens for a supervised row.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::{Diagnostics, LossTerms};
///
/// let losses = Cpu::default().tensor([3.0_f64, 5.0]);
/// let terms = LossTerms::new(losses.leaky_trace(), vec![1.0, 3.0], Diagnostics::default())?;
/// assert_eq!(terms.weight(), 4.0);
/// let mean = terms.mean()?;
/// assert_eq!(mean.array(), 2.0);
/// assert_eq!(mean.backward().get(&losses).array(), [0.25, 0.25]);
/// # Ok::<(), tropism_core::CoreError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LossTerms<P: Dim, E: Dtype, D: Device<E>, T = NoneTape> {
    /// Loss of each row, `[P]`, summed over the row, not averaged; carries the tape.
    pub losses: Tensor<(P,), E, D, T>,
    /// Share of each row in the denominator.
    pub weights: Vec<f64>,
    /// Figures per row, without gradient.
    pub diagnostics: Diagnostics,
}

impl<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>> LossTerms<P, E, D, T> {
    /// Gathers the parts.
    ///
    /// # Errors
    /// [`CoreError::SizeMismatch`] unless there is one weight per row (and one row of diagnostics, if there are any),
    /// [`CoreError::NotFinite`] for a NaN or infinite loss or weight, [`CoreError::NegativeWeight`].
    pub fn new(losses: Tensor<(P,), E, D, T>, weights: Vec<f64>, diagnostics: Diagnostics) -> Result<Self, CoreError> {
        let rows = losses.shape().0.size();
        CoreError::check_size("weights", rows, weights.len())?;
        if !diagnostics.names().is_empty() {
            CoreError::check_size("diagnostics", rows, diagnostics.rows())?;
        }
        CoreError::check_finite("loss", &numerics::to_f64(&losses))?;
        CoreError::check_finite("weight", &weights)?;
        match weights.iter().position(|&w| w < 0.0) {
            Some(row) => Err(CoreError::NegativeWeight { row, value: weights[row] }),
            None => Ok(Self { losses, weights, diagnostics }),
        }
    }

    /// Losses per row as f64.
    pub fn values(&self) -> Vec<f64> {
        numerics::to_f64(&self.losses)
    }

    /// The denominator that these rows bring along: the sum of their weights.
    pub fn weight(&self) -> f64 {
        self.weights.iter().sum()
    }

    /// Sum of the losses, with the tape.
    ///
    /// # Errors
    /// [`CoreError::Device`].
    pub fn sum(self) -> Result<Tensor<Rank0, E, D, T>, CoreError> {
        self.losses.try_sum::<Rank0, Axis<0>>().map_err(CoreError::device)
    }

    /// `sum / denominator`, the part of these rows in a step whose weights add up to `denominator`.
    ///
    /// # Errors
    /// [`CoreError::NoWeight`] unless the denominator is positive and finite; [`CoreError::Device`].
    pub fn into_scaled(self, denominator: f64) -> Result<Tensor<Rank0, E, D, T>, CoreError> {
        if !(denominator > 0.0 && denominator.is_finite()) {
            return Err(CoreError::NoWeight { weight: denominator });
        }
        self.sum()?.try_div(numerics::scalar::<E>(denominator)?).map_err(CoreError::device)
    }

    /// `sum / weight` of these rows alone. A trainer with micro-batches divides once by the weight of the whole step
    /// instead, by [`into_scaled`](Self::into_scaled).
    ///
    /// # Errors
    /// [`CoreError::NoWeight`] when all weights are 0; [`CoreError::Device`].
    pub fn mean(self) -> Result<Tensor<Rank0, E, D, T>, CoreError> {
        let weight = self.weight();
        self.into_scaled(weight)
    }
}
