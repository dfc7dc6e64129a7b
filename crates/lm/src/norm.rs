//! The normalisations of a decoder.
use crate::error::LmError;
use crate::linear::Rows;
use dfdx::prelude::*;
use tropism_ops::{Param, Scalar, TapeOf, layernorm, rmsnorm_offset};

/// Which normalisation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NormKind {
    /// root mean square; the scale is `offset + weight` (Gemma stores weights around 0, with offset 1)
    Rms {
        /// 0 or 1
        offset: f64,
    },
    /// mean and deviation, with scale and shift
    Layer,
}

/// A normalisation with its learned scale.
#[derive(Clone, Debug)]
pub struct Norm<D: Dim, E: Dtype> {
    /// scale, less the offset
    pub weight: Param<(D,), E>,
    /// shift; layer norm only
    pub bias: Option<Param<(D,), E>>,
    /// which one
    pub kind: NormKind,
    /// added inside the root
    pub eps: f64,
}

impl<D: Dim, E: Scalar> Norm<D, E>
where
    Cpu: Device<E>,
{
    pub(crate) fn zeros(width: D, kind: NormKind, eps: f64) -> Result<Self, LmError> {
        let dev = Cpu::default();
        let bias = if kind == NormKind::Layer { Some(Param::new(dev.try_zeros_like(&(width,))?)) } else { None };
        Ok(Norm { weight: Param::new(dev.try_zeros_like(&(width,))?), bias, kind, eps })
    }

    /// Every row normalised.
    ///
    /// # Errors
    /// Run-time sizes that disagree; a layer norm without its bias.
    pub fn forward<T: TapeOf<E>>(&self, x: Rows<D, E, T>) -> Result<Rows<D, E, T>, LmError> {
        Ok(match (self.kind, &self.bias) {
            (NormKind::Rms { offset }, _) => rmsnorm_offset(x, &self.weight, offset, self.eps)?,
            (NormKind::Layer, Some(bias)) => layernorm(x, &self.weight, bias, self.eps)?,
            (NormKind::Layer, None) => return Err(LmError::Invalid("a layer norm needs a bias".into())),
        })
    }
}
