//! A projection: every product with a stored weight but the embedding's goes through here.
use crate::error::LmError;
use crate::matrix::Matrix;
use dfdx::prelude::*;
use tropism_ops::{FrozenFormat, Precision, Scalar, TapeOf};

/// Activations of `usize` tokens.
pub(crate) type Rows<D, E, T> = Tensor<(usize, D), E, Cpu, T>;

/// `x W^T (+ bias)`. The weight is (out, in) in memory, whatever the checkpoint stores.
#[derive(Clone, Debug)]
pub struct Linear<I: Dim, O: Dim, E: Dtype> {
    /// (out, in)
    pub weight: Matrix<O, I, E>,
    /// (out)
    pub bias: Option<Tensor<(O,), E, Cpu>>,
}

impl<I: Dim, O: Dim, E: Scalar> Linear<I, O, E>
where
    Cpu: Device<E>,
{
    pub(crate) fn zeros(from: I, to: O, bias: bool) -> Result<Self, LmError> {
        let dev = Cpu::default();
        let bias = if bias { Some(dev.try_zeros_like(&(to,))?) } else { None };
        Ok(Linear { weight: Matrix::zeros(to, from)?, bias })
    }

    pub(crate) fn frozen(&self, format: FrozenFormat) -> Self {
        Linear { weight: self.weight.frozen(format), bias: self.bias.clone() }
    }

    /// `x W^T (+ bias)`.
    ///
    /// # Errors
    /// Run-time sizes that disagree.
    pub fn forward<T: TapeOf<E>>(&self, x: Rows<I, E, T>, precision: Precision) -> Result<Rows<O, E, T>, LmError> {
        self.weight.times(x, self.bias.as_ref(), precision)
    }

    /// `x W^T (+ bias) + residual`.
    ///
    /// # Errors
    /// Run-time sizes that disagree.
    pub fn forward_onto<T: TapeOf<E>>(
        &self,
        x: Rows<I, E, T>,
        residual: Rows<O, E, T>,
        precision: Precision,
    ) -> Result<Rows<O, E, T>, LmError> {
        self.weight.times_onto(x, self.bias.as_ref(), residual, precision)
    }
}
