//! A projection: every product with a stored weight but the embedding's goes through here.
use crate::error::LmError;
use dfdx::prelude::*;
use tropism_ops::{Precision, Scalar, TapeOf, linear, linear_add, linear_bias, linear_bias_add};

/// Activations of `usize` tokens.
pub(crate) type Rows<D, E, T> = Tensor<(usize, D), E, Cpu, T>;

/// `x W^T (+ bias)`. The weight is (out, in) in memory, whatever the checkpoint stores.
#[derive(Clone, Debug)]
pub struct Linear<I: Dim, O: Dim, E: Dtype> {
    /// (out, in)
    pub weight: Tensor<(O, I), E, Cpu>,
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
        Ok(Linear { weight: dev.try_zeros_like(&(to, from))?, bias })
    }

    /// `x W^T (+ bias)`.
    ///
    /// # Errors
    /// Run-time sizes that disagree.
    pub fn forward<T: TapeOf<E>>(&self, x: Rows<I, E, T>, precision: Precision) -> Result<Rows<O, E, T>, LmError> {
        Ok(match &self.bias {
            None => linear(x, &self.weight, precision)?,
            Some(bias) => linear_bias(x, &self.weight, bias, precision)?,
        })
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
        Ok(match &self.bias {
            None => linear_add(x, &self.weight, residual, precision)?,
            Some(bias) => linear_bias_add(x, &self.weight, bias, residual, precision)?,
        })
    }
}
