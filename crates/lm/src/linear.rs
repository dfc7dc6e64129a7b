//! A projection: every product with a stored weight but the embedding's goes through here.
use crate::error::LmError;
use crate::lora::Lora;
use crate::matrix::Matrix;
use dfdx::prelude::*;
use tropism_ops::{FrozenFormat, Param, Precision, Scalar, TapeOf};

/// Activations of `usize` tokens.
pub(crate) type Rows<D, E, T> = Tensor<(usize, D), E, Cpu, T>;

/// `x W^T (+ bias)`, with an adapter `+ scale (x A^T) B^T`. The weight is (out, in) in memory, whatever the checkpoint stores.
#[derive(Clone, Debug)]
pub struct Linear<I: Dim, O: Dim, E: Dtype> {
    /// (out, in)
    pub weight: Matrix<O, I, E>,
    /// (out)
    pub bias: Option<Param<(O,), E>>,
    /// a low-rank adapter
    pub lora: Option<Box<Lora<I, O, E>>>,
}

impl<I: Dim, O: Dim, E: Scalar> Linear<I, O, E>
where
    Cpu: Device<E>,
{
    pub(crate) fn zeros(from: I, to: O, bias: bool) -> Result<Self, LmError> {
        let dev = Cpu::default();
        let bias = if bias { Some(Param::new(dev.try_zeros_like(&(to,))?)) } else { None };
        Ok(Linear { weight: Matrix::zeros(to, from)?, bias, lora: None })
    }

    pub(crate) fn frozen(&self, format: FrozenFormat) -> Self {
        // what was merged is in the rounded weight and cannot be taken out again
        let lora = self.lora.clone().filter(|l| !l.merged);
        Linear { weight: self.weight.frozen(format), bias: self.bias.clone(), lora }
    }

    /// `x W^T (+ bias)`.
    ///
    /// # Errors
    /// Run-time sizes that disagree.
    pub fn forward<T: TapeOf<E>>(&self, x: Rows<I, E, T>, precision: Precision) -> Result<Rows<O, E, T>, LmError> {
        let Some(lora) = self.adapter() else { return self.weight.times(x, self.bias.as_ref(), precision) };
        let added = lora.forward(x.with_empty_tape(), precision)?;
        self.weight.times_onto(x, self.bias.as_ref(), added, precision)
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
        let residual = match self.adapter() {
            Some(lora) => lora.forward_onto(x.with_empty_tape(), residual, precision)?,
            None => residual,
        };
        self.weight.times_onto(x, self.bias.as_ref(), residual, precision)
    }

    /// The adapter, when it is computed beside the weight.
    fn adapter(&self) -> Option<&Lora<I, O, E>> {
        self.lora.as_deref().filter(|l| !l.merged)
    }
}
