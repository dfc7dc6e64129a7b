//! One layer of the decoder, made of the parts that its architecture has.
use crate::dims::{Dims, HeadDim, QueryKeyValue};
use crate::error::LmError;
use crate::feed_forward::FeedForward;
use crate::linear::{Linear, Rows};
use crate::norm::Norm;
use dfdx::prelude::*;
use tropism_ops::{AttentionConfig, FrozenFormat, Precision, RopeTable, Scalar, TapeOf, columns, plus, rope};

/// Projections to queries, keys and values.
#[derive(Clone, Debug)]
pub enum Qkv<M: Dims, E: Dtype> {
    /// `self_attn.q_proj`, `self_attn.k_proj`, `self_attn.v_proj`
    Apart(Linear<M::Hidden, M::Query, E>, Linear<M::Hidden, M::KeyValue, E>, Linear<M::Hidden, M::KeyValue, E>),
    /// `attn.c_attn`: queries, keys and values below each other in one weight
    Fused(Linear<M::Hidden, QueryKeyValue, E>),
}

/// Weights and settings of one layer.
#[derive(Clone, Debug)]
pub struct Layer<M: Dims, E: Dtype> {
    /// before attention
    pub input_norm: Norm<M::Hidden, E>,
    /// queries, keys and values
    pub qkv: Qkv<M, E>,
    /// of each head's queries and keys, before the rotary embedding
    pub head_norms: Option<(Norm<HeadDim, E>, Norm<HeadDim, E>)>,
    /// of the attended values back to the residual stream
    pub output: Linear<M::Query, M::Hidden, E>,
    /// of what attention adds to the residual stream
    pub attention_norm: Option<Norm<M::Hidden, E>>,
    /// before the feed-forward part
    pub ff_norm: Norm<M::Hidden, E>,
    /// the feed-forward part
    pub ff: FeedForward<M::Hidden, M::Ff, E>,
    /// of what the feed-forward part adds to the residual stream
    pub post_ff_norm: Option<Norm<M::Hidden, E>>,
    /// scale, soft cap and window
    pub attention: AttentionConfig,
    /// whether queries and keys are rotated to their positions
    pub rotary: bool,
}

/// Queries, keys and values of one layer.
pub(crate) type Projected<M, E, T> =
    (Rows<<M as Dims>::Query, E, T>, Rows<<M as Dims>::KeyValue, E, T>, Rows<<M as Dims>::KeyValue, E, T>);

/// What all layers of one pass share.
pub(crate) struct Pass<'a, E> {
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
        let h = self.input_norm.forward(x)?;
        let (q, k, v) = match &self.qkv {
            Qkv::Apart(q, k, v) => (
                q.forward(h.with_empty_tape(), pass.precision)?,
                k.forward(h.with_empty_tape(), pass.precision)?,
                v.forward(h, pass.precision)?,
            ),
            Qkv::Fused(all) => self.split(all.forward(h, pass.precision)?)?,
        };
        let (q, k) = match &self.head_norms {
            Some((qn, kn)) => (per_head(qn, q)?, per_head(kn, k)?),
            None => (q, k),
        };
        if !self.rotary {
            return Ok((q, k, v));
        }
        Ok((rope(q, pass.table, pass.positions)?, rope(k, pass.table, pass.positions)?, v))
    }

    /// How attention is computed in a pass.
    pub(crate) fn attention(&self, pass: &Pass<E>) -> AttentionConfig {
        AttentionConfig { precision: pass.precision, ..self.attention }
    }

    /// The same layer with its projections frozen.
    pub(crate) fn frozen(&self, format: FrozenFormat) -> Self {
        let qkv = match &self.qkv {
            Qkv::Apart(q, k, v) => Qkv::Apart(q.frozen(format), k.frozen(format), v.frozen(format)),
            Qkv::Fused(all) => Qkv::Fused(all.frozen(format)),
        };
        Layer { qkv, output: self.output.frozen(format), ff: self.ff.frozen(format), ..self.clone() }
    }

    /// The parts of a fused projection.
    fn split<T: TapeOf<E>>(&self, all: Rows<QueryKeyValue, E, T>) -> Result<Projected<M, E, T>, LmError> {
        let heads = self.attention.heads;
        let (query, key) = (heads.heads * heads.dim, heads.kv_heads * heads.dim);
        let size = |n| {
            M::KeyValue::from_size(n).ok_or_else(|| LmError::Invalid(format!("{n} columns of keys do not fit the preset")))
        };
        let wide = M::Query::from_size(query)
            .ok_or_else(|| LmError::Invalid(format!("{query} columns of queries do not fit the preset")))?;
        let q = columns(all.with_empty_tape(), 0, wide)?;
        let k = columns(all.with_empty_tape(), query, size(key)?)?;
        Ok((q, k, columns(all, query + key, size(key)?)?))
    }

    /// What follows attention: output projection and feed-forward part, each onto the residual stream `x`.
    pub(crate) fn finish<T: TapeOf<E>>(
        &self,
        attended: Rows<M::Query, E, T>,
        x: Rows<M::Hidden, E, T>,
        pass: &Pass<E>,
    ) -> Result<Rows<M::Hidden, E, T>, LmError> {
        let x = match &self.attention_norm {
            None => self.output.forward_onto(attended, x, pass.precision)?,
            Some(norm) => plus(norm.forward(self.output.forward(attended, pass.precision)?)?, x)?,
        };
        let h = self.ff_norm.forward(x.with_empty_tape())?;
        match &self.post_ff_norm {
            None => self.ff.forward_onto(h, x, pass.precision),
            Some(norm) => Ok(plus(norm.forward(self.ff.forward(h, pass.precision)?)?, x)?),
        }
    }
}

/// Normalises every head of every row by itself.
fn per_head<D: Dim, E: Scalar, T: TapeOf<E>>(norm: &Norm<HeadDim, E>, x: Rows<D, E, T>) -> Result<Rows<D, E, T>, LmError>
where
    Cpu: Device<E>,
{
    let (shape, head) = (*x.shape(), norm.weight.shape().0);
    let heads = shape.0 * shape.1.size() / head.size();
    Ok(norm.forward(x.try_reshape_like(&(heads, head))?)?.try_reshape_like(&shape)?)
}
