//! Low-rank adapters: `W x` becomes `W x + scale B A x`, and only A and B are trained.
//!
//! Source: Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", eq. 3.
mod attach;
mod config;
mod folder;
mod peft;

pub use config::{LoraConfig, Targets};

use crate::dims::Rank;
use crate::error::LmError;
use crate::linear::{Linear, Rows};
use crate::matrix::Matrix;
use dfdx::prelude::*;
use tropism_ops::{Param, Precision, Scalar, TapeOf, data, data_mut, linear, linear_add, scaled};

/// The two factors of a projection's adapter.
#[derive(Clone, Debug)]
pub struct Lora<I: Dim, O: Dim, E: Dtype> {
    /// (rank, in); starts uniform in `±1 / sqrt(in)`, Kaiming's bound with `a = sqrt(5)`
    pub a: Param<(Rank, I), E>,
    /// (out, rank); starts as 0, so that a fresh adapter changes nothing
    pub b: Param<(O, Rank), E>,
    /// `alpha / rank`, or `alpha / sqrt(rank)`
    pub scale: f64,
    /// whether it stands in the weight already, and is left out of the product
    pub merged: bool,
}

impl<I: Dim, O: Dim, E: Scalar> Lora<I, O, E>
where
    Cpu: Device<E>,
{
    /// Both factors 0.
    fn zeros(from: I, to: O, config: &LoraConfig) -> Result<Self, LmError> {
        let dev = Cpu::default();
        let rank = Rank::from_size(config.r).ok_or_else(|| LmError::Invalid("lora: `r` is no size".into()))?;
        Ok(Lora {
            a: Param::new(dev.try_zeros_like(&(rank, from))?),
            b: Param::new(dev.try_zeros_like(&(to, rank))?),
            scale: config.scale(),
            merged: false,
        })
    }

    /// `scale x A^T`, (N, rank).
    fn narrow<T: TapeOf<E>>(&self, x: Rows<I, E, T>, precision: Precision) -> Result<Rows<Rank, E, T>, LmError> {
        Ok(scaled(linear(x, &self.a, precision)?, self.scale)?)
    }

    /// `scale (x A^T) B^T`.
    ///
    /// # Shapes
    /// x (N, in), result (N, out).
    ///
    /// # Gradient
    /// To x, A and B.
    ///
    /// # Errors
    /// Run-time sizes that disagree.
    pub fn forward<T: TapeOf<E>>(&self, x: Rows<I, E, T>, precision: Precision) -> Result<Rows<O, E, T>, LmError> {
        Ok(linear(self.narrow(x, precision)?, &self.b, precision)?)
    }

    /// `scale (x A^T) B^T + residual`.
    ///
    /// # Errors
    /// Run-time sizes that disagree.
    pub fn forward_onto<T: TapeOf<E>>(
        &self,
        x: Rows<I, E, T>,
        residual: Rows<O, E, T>,
        precision: Precision,
    ) -> Result<Rows<O, E, T>, LmError> {
        Ok(linear_add(self.narrow(x, precision)?, &self.b, residual, precision)?)
    }

    /// `B A`, (out, in).
    fn product(&self) -> Result<Tensor<(O, I), E, Cpu>, LmError> {
        let turned = self.a.values.clone().try_permute::<_, Axes2<1, 0>>()?;
        Ok(linear(self.b.values.clone(), &turned, Precision::Full)?)
    }
}

impl<I: Dim, O: Dim, E: Scalar> Linear<I, O, E>
where
    Cpu: Device<E>,
{
    /// Adds the adapter to the weight (`sign` 1), or takes it out again (-1).
    fn shift(&mut self, sign: f64) -> Result<(), LmError> {
        let Some(lora) = &mut self.lora else { return Ok(()) };
        let Matrix::Dense(weight) = &mut self.weight else {
            let problem = "weights of 16 or 8 bits take no adapter up; merge it into the model that they were made from";
            return Err(LmError::Invalid(problem.into()));
        };
        let product = lora.product()?;
        let factor = E::c(sign * lora.scale);
        data_mut(&mut weight.values).iter_mut().zip(data(&product)).for_each(|(w, &p)| *w += factor * p);
        lora.merged = sign > 0.0;
        Ok(())
    }
}
