//! Layers and their parameters.
use super::DenoiserError;
use crate::Stream;
use dfdx::prelude::*;
use tropism_ops::{Param, Precision, Scalar, TapeOf, Window, conv, data_mut, layernorm, linear_add, linear_bias};

/// One sample, or one cell of a sample, a row.
pub type Rows<E, T = NoneTape> = Tensor<(usize, usize), E, Cpu, T>;
/// Samples or a result of an operation on them.
pub(crate) type Result<E, T> = std::result::Result<Rows<E, T>, DenoiserError>;

const FULL: Precision = Precision::Full;

/// A weight `(O, I)` and a bias `(O,)`.
#[derive(Clone, Debug)]
pub(crate) struct Linear<E: Dtype> {
    pub(crate) weight: Param<(usize, usize), E>,
    pub(crate) bias: Param<(usize,), E>,
}

impl<E: Scalar> Linear<E>
where
    Cpu: Device<E>,
{
    /// Uniform numbers within `±1/√fan_in`, as PyTorch starts linear layers and convolutions.
    pub(crate) fn random(
        inputs: usize,
        outputs: usize,
        fan_in: usize,
        stream: &mut Stream,
    ) -> std::result::Result<Self, DenoiserError> {
        let bound = (fan_in as f64).sqrt().recip();
        let mut layer = Self::zeros(inputs, outputs)?;
        for x in data_mut(&mut layer.weight.values).iter_mut().chain(data_mut(&mut layer.bias.values)) {
            *x = E::c((2.0 * stream.uniform() - 1.0) * bound);
        }
        Ok(layer)
    }

    /// A layer whose result is 0.
    pub(crate) fn zeros(inputs: usize, outputs: usize) -> std::result::Result<Self, DenoiserError> {
        Ok(Linear { weight: matrix(outputs, inputs)?, bias: vector(outputs)? })
    }

    /// `x W^T + b`.
    pub(crate) fn forward<T: TapeOf<E>>(&self, x: Rows<E, T>) -> Result<E, T> {
        Ok(linear_bias(x, &self.weight, &self.bias, FULL)?)
    }

    /// The kernel sliding over cells.
    pub(crate) fn slide<T: TapeOf<E>>(&self, x: Rows<E, T>, window: Window) -> Result<E, T> {
        Ok(conv(x, &self.weight, &self.bias, window, FULL)?)
    }
}

/// A weight `(O, I)` of an input that is added to others.
#[derive(Clone, Debug)]
pub(crate) struct Branch<E: Dtype>(pub(crate) Param<(usize, usize), E>);

impl<E: Scalar> Branch<E>
where
    Cpu: Device<E>,
{
    pub(crate) fn random(
        inputs: usize,
        outputs: usize,
        fan_in: usize,
        stream: &mut Stream,
    ) -> std::result::Result<Self, DenoiserError> {
        Ok(Branch(Linear::random(inputs, outputs, fan_in, stream)?.weight))
    }

    pub(crate) fn zeros(inputs: usize, outputs: usize) -> std::result::Result<Self, DenoiserError> {
        Ok(Branch(matrix(outputs, inputs)?))
    }

    /// `x W^T + residual`; `x` is a constant.
    pub(crate) fn onto<T: TapeOf<E>>(&self, x: &Rows<E>, residual: Rows<E, T>) -> Result<E, T> {
        Ok(linear_add(x.retaped::<T>(), &self.0, residual, FULL)?)
    }
}

/// Scale and shift of a layer normalisation over the channels of a cell.
#[derive(Clone, Debug)]
pub(crate) struct Norm<E: Dtype> {
    pub(crate) weight: Param<(usize,), E>,
    pub(crate) bias: Param<(usize,), E>,
}

impl<E: Scalar> Norm<E>
where
    Cpu: Device<E>,
{
    pub(crate) fn new(channels: usize) -> std::result::Result<Self, DenoiserError> {
        let mut norm = Norm { weight: vector(channels)?, bias: vector(channels)? };
        data_mut(&mut norm.weight.values).fill(E::one());
        Ok(norm)
    }

    pub(crate) fn forward<T: TapeOf<E>>(&self, x: Rows<E, T>) -> Result<E, T> {
        Ok(layernorm(x, &self.weight, &self.bias, 1e-5)?)
    }
}

fn matrix<E: Scalar>(rows: usize, columns: usize) -> std::result::Result<Param<(usize, usize), E>, DenoiserError>
where
    Cpu: Device<E>,
{
    Ok(Param::new(Cpu::default().try_zeros_like(&(rows, columns)).map_err(DenoiserError::device)?))
}

fn vector<E: Scalar>(n: usize) -> std::result::Result<Param<(usize,), E>, DenoiserError>
where
    Cpu: Device<E>,
{
    Ok(Param::new(Cpu::default().try_zeros_like(&(n,)).map_err(DenoiserError::device)?))
}
