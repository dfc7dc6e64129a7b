//! A weight matrix: trained numbers, or a frozen, rounded form of them.
use crate::error::LmError;
use crate::linear::Rows;
use dfdx::prelude::*;
use tropism_ops::{
    DetailedLogps, Frozen, FrozenFormat, LogpsExtras, Param, Precision, Scalar, TapeOf, embed_frozen, embed_scaled, linear,
    linear_add, linear_bias, linear_bias_add, linear_frozen, linear_logps_capped, linear_logps_detailed,
    linear_logps_detailed_frozen, linear_logps_frozen,
};

/// `W`, (out, in).
#[derive(Clone, Debug)]
pub enum Matrix<O: Dim, I: Dim, E: Dtype> {
    /// a parameter: saved, and visited and given gradients when it is trained
    Dense(Param<(O, I), E>),
    /// 16 or 8 bits per weight; no parameter, and products send gradients to their input alone
    Frozen(Frozen<O, I>),
}

impl<O: Dim, I: Dim, E: Dtype> Matrix<O, I, E> {
    /// The parameter; none when frozen.
    pub fn dense(&self) -> Option<&Param<(O, I), E>> {
        match self {
            Matrix::Dense(w) => Some(w),
            Matrix::Frozen(_) => None,
        }
    }

    /// Rows and columns: out, in.
    pub fn shape(&self) -> (O, I) {
        match self {
            Matrix::Dense(w) => *w.shape(),
            Matrix::Frozen(w) => w.shape(),
        }
    }

    /// Number of weights.
    pub fn len(&self) -> usize {
        let (o, i) = self.shape();
        o.size() * i.size()
    }

    /// Whether there is no weight.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<O: Dim, I: Dim, E: Scalar> Matrix<O, I, E>
where
    Cpu: Device<E>,
{
    pub(crate) fn zeros(to: O, from: I) -> Result<Self, LmError> {
        Ok(Matrix::Dense(Param::new(Cpu::default().try_zeros_like(&(to, from))?)))
    }

    /// The same weights, rounded and no longer trained; what is frozen already stays as it is.
    pub(crate) fn frozen(&self, format: FrozenFormat) -> Self {
        match self {
            Matrix::Dense(w) => Matrix::Frozen(Frozen::new(&w.values, format)),
            Matrix::Frozen(w) => Matrix::Frozen(w.clone()),
        }
    }

    /// `x W^T (+ bias)`.
    pub(crate) fn times<T: TapeOf<E>>(
        &self,
        x: Rows<I, E, T>,
        bias: Option<&Param<(O,), E>>,
        precision: Precision,
    ) -> Result<Rows<O, E, T>, LmError> {
        Ok(match (self, bias) {
            (Matrix::Dense(w), None) => linear(x, w, precision)?,
            (Matrix::Dense(w), Some(bias)) => linear_bias(x, w, bias, precision)?,
            (Matrix::Frozen(w), bias) => linear_frozen(x, w, bias, None)?,
        })
    }

    /// `x W^T (+ bias) + residual`.
    pub(crate) fn times_onto<T: TapeOf<E>>(
        &self,
        x: Rows<I, E, T>,
        bias: Option<&Param<(O,), E>>,
        residual: Rows<O, E, T>,
        precision: Precision,
    ) -> Result<Rows<O, E, T>, LmError> {
        Ok(match (self, bias) {
            (Matrix::Dense(w), None) => linear_add(x, w, residual, precision)?,
            (Matrix::Dense(w), Some(bias)) => linear_bias_add(x, w, bias, residual, precision)?,
            (Matrix::Frozen(w), bias) => linear_frozen(x, w, bias, Some(residual))?,
        })
    }

    /// Rows `ids`, times `scale`.
    pub(crate) fn rows<T: TapeOf<E>>(&self, ids: &[usize], scale: f64, tape: T) -> Result<Rows<I, E, T>, LmError> {
        Ok(match self {
            Matrix::Dense(w) => embed_scaled(w, ids, scale, tape)?,
            Matrix::Frozen(w) => embed_frozen(w, ids, scale)?.put_tape(tape),
        })
    }

    /// Log-probabilities of `targets` where the rows of `W` turn states into logits, capped at `limit`.
    pub(crate) fn logps<T: TapeOf<E>>(
        &self,
        states: Rows<I, E, T>,
        targets: &[usize],
        limit: Option<f64>,
        precision: Precision,
    ) -> Result<Tensor<(usize,), E, Cpu, T>, LmError> {
        Ok(match self {
            Matrix::Dense(w) => linear_logps_capped(states, w, targets, limit, precision)?,
            Matrix::Frozen(w) => linear_logps_frozen(states, w, targets, limit)?,
        })
    }

    /// [`Matrix::logps`] with more of the distributions.
    pub(crate) fn detailed_logps<T: TapeOf<E>>(
        &self,
        states: Rows<I, E, T>,
        targets: &[usize],
        limit: Option<f64>,
        precision: Precision,
        extras: LogpsExtras,
    ) -> Result<DetailedLogps<usize, E, T>, LmError> {
        Ok(match self {
            Matrix::Dense(w) => linear_logps_detailed(states, w, targets, limit, precision, extras)?,
            Matrix::Frozen(w) => linear_logps_detailed_frozen(states, w, targets, limit, extras)?,
        })
    }
}
