//! One layer of the decoder.
use crate::dims::Dims;
use crate::error::LmError;
use dfdx::prelude::*;
use tropism_ops::{Activation, Precision, RopeTable, Scalar, TapeOf, gated, linear, linear_add, rmsnorm, rope};

/// Weights of one layer, named as in the checkpoint.
#[derive(Clone, Debug)]
pub struct Layer<M: Dims, E: Dtype> {
    /// `input_layernorm`
    pub input_norm: Tensor<(M::Hidden,), E, Cpu>,
    /// `self_attn.q_proj`
    pub q_proj: Tensor<(M::Query, M::Hidden), E, Cpu>,
    /// `self_attn.k_proj`
    pub k_proj: Tensor<(M::KeyValue, M::Hidden), E, Cpu>,
    /// `self_attn.v_proj`
    pub v_proj: Tensor<(M::KeyValue, M::Hidden), E, Cpu>,
    /// `self_attn.o_proj`
    pub o_proj: Tensor<(M::Hidden, M::Query), E, Cpu>,
    /// `post_attention_layernorm`
    pub post_norm: Tensor<(M::Hidden,), E, Cpu>,
    /// `mlp.gate_proj`
    pub gate_proj: Tensor<(M::Ff, M::Hidden), E, Cpu>,
    /// `mlp.up_proj`
    pub up_proj: Tensor<(M::Ff, M::Hidden), E, Cpu>,
    /// `mlp.down_proj`
    pub down_proj: Tensor<(M::Hidden, M::Ff), E, Cpu>,
}

/// Activations of `usize` tokens.
type Rows<D, E, T> = Tensor<(usize, D), E, Cpu, T>;

/// Queries, keys and values of one layer.
pub(crate) type Projected<M, E, T> =
    (Rows<<M as Dims>::Query, E, T>, Rows<<M as Dims>::KeyValue, E, T>, Rows<<M as Dims>::KeyValue, E, T>);

/// What all layers of one pass share.
pub(crate) struct Pass<'a, E> {
    pub(crate) eps: f64,
    pub(crate) table: &'a RopeTable<E>,
    pub(crate) positions: &'a [usize],
    pub(crate) precision: Precision,
}

impl<M: Dims, E: Scalar> Layer<M, E>
where
    Cpu: Device<E>,
{
    /// Queries and keys (rotated to `positions`) and values of the normalised input.
    pub(crate) fn project<T: TapeOf<E>>(
        &self,
        x: Rows<M::Hidden, E, T>,
        pass: &Pass<E>,
    ) -> Result<Projected<M, E, T>, LmError> {
        let h = rmsnorm(x, &self.input_norm, pass.eps)?;
        let q = rope(linear(h.with_empty_tape(), &self.q_proj, pass.precision)?, pass.table, pass.positions)?;
        let k = rope(linear(h.with_empty_tape(), &self.k_proj, pass.precision)?, pass.table, pass.positions)?;
        Ok((q, k, linear(h, &self.v_proj, pass.precision)?))
    }

    /// What follows attention: output projection and feed-forward layer, each onto the residual stream `x`.
    pub(crate) fn finish<T: TapeOf<E>>(
        &self,
        attended: Rows<M::Query, E, T>,
        x: Rows<M::Hidden, E, T>,
        pass: &Pass<E>,
    ) -> Result<Rows<M::Hidden, E, T>, LmError> {
        let x = linear_add(attended, &self.o_proj, x, pass.precision)?;
        let h = rmsnorm(x.with_empty_tape(), &self.post_norm, pass.eps)?;
        let gate = linear(h.with_empty_tape(), &self.gate_proj, pass.precision)?;
        let up = linear(h, &self.up_proj, pass.precision)?;
        Ok(linear_add(gated(gate, up, Activation::Silu)?, &self.down_proj, x, pass.precision)?)
    }
}
