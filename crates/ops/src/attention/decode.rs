//! Attention of one new token per sequence over cached keys and values: the sampler's step. No gradient.
use super::{AttentionConfig, rows::softmax};
use crate::error::{OpsError, same};
use crate::mm::{Parallelism, View, mm};
use crate::par::split_rows;
use crate::raw::{data, data_mut};
use crate::scalar::Scalar;
use dfdx::prelude::*;

/// Keys and values of one sequence so far, the new token's own included: `[len, kv_heads * dim]` each, row-major.
#[derive(Clone, Copy, Debug)]
pub struct Cached<'a, E> {
    /// keys, after the rotary embedding
    pub keys: &'a [E],
    /// values
    pub values: &'a [E],
}

/// [`attention`](super::attention) for the last token of each sequence.
///
/// # Shapes
/// q (B, heads * dim), one cache per row; result as q.
///
/// # Errors
/// Sizes that disagree, an empty cache.
pub fn decode_attention<N: Dim, D: Dim, E: Scalar>(
    q: &Tensor<(N, D), E, Cpu>,
    caches: &[Cached<E>],
    config: impl Into<AttentionConfig>,
) -> Result<Tensor<(N, D), E, Cpu>, OpsError>
where
    Cpu: Device<E>,
{
    let config = config.into();
    let heads = config.heads;
    config.check()?;
    let (width, kv) = (heads.query_width(), heads.kv_width());
    same("decode_attention", "number of caches", q.shape().0.size(), caches.len())?;
    same("decode_attention", "columns of q", width, q.shape().1.size())?;
    for c in caches {
        same("decode_attention", "length of the values", c.keys.len(), c.values.len())?;
        same("decode_attention", "cached numbers beyond whole rows", 0, c.keys.len() % kv)?;
        if c.keys.is_empty() {
            return Err(OpsError::Size { op: "decode_attention", what: "length of a cache", expected: kv, found: 0 });
        }
    }
    let mut out: Tensor<(N, D), E, Cpu> = q.device().try_zeros_like(q.shape())?;
    let q = q.clone().try_contiguous()?;
    let qs = data(&q);
    split_rows((data_mut(&mut out), width), (&mut [(); 0], 0), 1, |first, part, _| {
        let mut scores = vec![];
        for (i, out) in part.chunks_exact_mut(width).enumerate() {
            let at = (first + i) * width;
            one_row(&qs[at..at + width], caches[first + i], config, &mut scores, out);
        }
    });
    Ok(out)
}

fn one_row<E: Scalar>(q: &[E], cache: Cached<E>, config: AttentionConfig, scores: &mut Vec<E>, out: &mut [E]) {
    let heads = config.heads;
    let (d, width) = (heads.dim, heads.kv_width());
    let all = cache.keys.len() / width;
    let start = config.first(all - 1);
    let len = all - start;
    for kv in 0..heads.kv_heads {
        let group = heads.group(kv);
        let (at, n) = (group.start * d, group.len());
        scores.resize(n * len, E::zero());
        let k = View::strided(&cache.keys[start * width + kv * d..], len, d, width);
        mm(scores, len, false, View::new(&q[at..], n, d), k.t(), Parallelism::None);
        for row in scores.chunks_exact_mut(len) {
            softmax(row, 0, len, config.curve());
        }
        let v = View::strided(&cache.values[start * width + kv * d..], len, d, width);
        mm(&mut out[at..at + n * d], d, false, View::new(scores, n, len), v, Parallelism::None);
    }
}
