//! Causal attention with grouped key/value heads over packed prefix trees.
//!
//! Scores exist for one block of query rows at a time; a log-sum-exp per row is kept, and backward makes the scores again.
//! One task works on one tree and one query head; heads that share keys and values are added up at the end.
mod backward;
mod decode;
mod forward;
mod kernels;
mod pages;
mod rows;

pub use decode::decode_attention;
pub use pages::{PAGE, Paged, Pages};

use crate::error::{OpsError, same};
use crate::mm::{Precision, View};
use crate::par::each_with;
use crate::params::TapeOf;
use crate::raw::{GradSlot, data, data_mut, record};
use crate::scalar::Scalar;
use crate::tree::Tree;
use dfdx::prelude::*;

/// Query rows whose scores exist at a time.
const BLOCK: usize = 64;

/// Sizes of the attention heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// query heads
    pub heads: usize,
    /// key and value heads; divides `heads`
    pub kv_heads: usize,
    /// width of a head
    pub dim: usize,
}

impl Heads {
    fn query_width(&self) -> usize {
        self.heads * self.dim
    }

    fn kv_width(&self) -> usize {
        self.kv_heads * self.dim
    }

    /// The key/value head that a query head reads.
    fn kv_of(&self, head: usize) -> usize {
        head * self.kv_heads / self.heads
    }

    /// Query heads of one key/value head.
    fn group(&self, kv: usize) -> std::ops::Range<usize> {
        let g = self.heads / self.kv_heads;
        kv * g..(kv + 1) * g
    }
}

/// Everything that one layer's attention is computed with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionConfig {
    /// sizes
    pub heads: Heads,
    /// factor of the raw scores, `1 / sqrt(dim)` unless a model says otherwise
    pub scale: f64,
    /// soft cap of the scaled scores: `cap tanh(score / cap)`
    pub softcap: Option<f64>,
    /// a token sees itself and the `window - 1` tokens before it
    pub window: Option<usize>,
    /// of the operands of its products; softmax and sums are in the tensors' own type
    pub precision: Precision,
}

/// Plain attention: scale `1 / sqrt(dim)`, no cap, no window, full precision.
impl From<Heads> for AttentionConfig {
    fn from(heads: Heads) -> Self {
        AttentionConfig {
            heads,
            scale: (heads.dim as f64).sqrt().recip(),
            softcap: None,
            window: None,
            precision: Precision::Full,
        }
    }
}

impl AttentionConfig {
    fn check(&self) -> Result<(), OpsError> {
        same("attention", "heads beyond whole groups", 0, self.heads.heads % self.heads.kv_heads.max(1))?;
        if self.window == Some(0) {
            return Err(OpsError::Size { op: "attention", what: "window", expected: 1, found: 0 });
        }
        Ok(())
    }

    /// First position that the token at `position` sees.
    fn first(&self, position: usize) -> usize {
        self.window.map_or(0, |w| (position + 1).saturating_sub(w))
    }

    /// Raw scores to capped, scaled ones.
    fn curve<E: Scalar>(&self) -> rows::Curve<E> {
        rows::Curve { scale: E::c(self.scale), cap: self.softcap.map(E::c) }
    }
}

/// Slices and sizes that both passes share.
#[derive(Clone, Copy)]
struct Inputs<'a, E> {
    tree: &'a Tree,
    config: AttentionConfig,
    q: &'a [E],
    k: &'a [E],
    v: &'a [E],
}

impl<E: Scalar> Inputs<'_, E> {
    /// One key/value head's columns of `x` for the whole chain of a segment: where they lie, or from `copy` when the chain
    /// has several segments.
    fn chain<'b>(&'b self, x: &'b [E], segment: usize, kv: usize, copy: &'b mut Vec<E>) -> View<'b, E> {
        let (width, d) = (self.config.heads.kv_width(), self.config.heads.dim);
        let s = self.tree.segments()[segment];
        if s.parent.is_none() {
            return View::strided(&x[s.start * width + kv * d..], s.len, d, width);
        }
        copy.clear();
        for s in self.tree.chain(segment) {
            for row in x[s.start * width..(s.start + s.len) * width].chunks_exact(width) {
                copy.extend_from_slice(&row[kv * d..(kv + 1) * d]);
            }
        }
        View::new(copy, copy.len() / d, d)
    }

    /// Runs `f(buffers of the thread, tree, query head)` for all of them over all threads.
    fn tasks<S: Default>(&self, f: impl Fn(&mut S, usize, usize) + Sync + Send) {
        let heads = self.config.heads.heads;
        each_with(self.tree.trees().len() * heads, S::default, |s, i| f(s, i / heads, i % heads));
    }
}

/// The first `n` elements of a buffer, whatever stands in them.
fn room<E: Scalar>(buffer: &mut Vec<E>, n: usize) -> &mut [E] {
    if buffer.len() < n {
        buffer.resize(n, E::zero());
    }
    &mut buffer[..n]
}

/// `softmax(q k^T / sqrt(dim)) v`, each token attending to itself, to what stands before it in its segment and to the
/// segments that its own continues. With a `softcap` the scaled scores are capped first; with a `window` a token sees only
/// itself and the `window - 1` tokens before it, and scores wholly outside are never computed.
///
/// # Shapes
/// q (N, heads * dim), k and v (N, kv_heads * dim), N the tokens of `tree`; result as q. Query head h reads key/value head
/// `h / (heads / kv_heads)`.
///
/// # Gradient
/// To all three. A shared prompt's keys and values receive the sum over everything that hangs off it, so that the result
/// equals that of unshared sequences.
///
/// # Errors
/// Run-time sizes that disagree.
///
/// # Source
/// Vaswani et al. 2017, eq. 1; Ainslie et al. 2023 for grouped heads; Dao et al. 2022 for recomputed scores; Beltagy et al.
/// 2020 for windows; Gemma Team 2024 for soft caps.
pub fn attention<N: Dim, D: Dim, K: Dim, E: Scalar, T: TapeOf<E>>(
    q: Tensor<(N, D), E, Cpu, T>,
    k: Tensor<(N, K), E, Cpu, T>,
    v: Tensor<(N, K), E, Cpu, T>,
    tree: &Tree,
    config: impl Into<AttentionConfig>,
) -> Result<Tensor<(N, D), E, Cpu, T>, OpsError>
where
    Cpu: Device<E>,
{
    let config = config.into();
    let heads = config.heads;
    config.check()?;
    for (what, found) in [("rows of q", q.shape().0), ("rows of k", k.shape().0), ("rows of v", v.shape().0)] {
        same("attention", what, tree.tokens(), found.size())?;
    }
    same("attention", "columns of q", heads.query_width(), q.shape().1.size())?;
    same("attention", "columns of k", heads.kv_width(), k.shape().1.size())?;
    same("attention", "columns of v", heads.kv_width(), v.shape().1.size())?;
    let (q, qt) = q.try_contiguous()?.split_tape();
    let (k, kt) = k.try_contiguous()?.split_tape();
    let (v, vt) = v.try_contiguous()?.split_tape();
    let mut out: Tensor<(N, D), E, Cpu> = q.device().try_zeros_like(q.shape())?;
    let lse = forward::run(Inputs { tree, config, q: data(&q), k: data(&k), v: data(&v) }, data_mut(&mut out));
    let slots = [GradSlot::of(&q), GradSlot::of(&k), GradSlot::of(&v)];
    let (tree, kept) = (tree.clone(), out.clone());
    Ok(record(out, qt.merge(kt).merge(vt), move |go, grads| {
        let mut d = [slots[0].take(grads)?, slots[1].take(grads)?, slots[2].take(grads)?];
        let inputs = Inputs { tree: &tree, config, q: data(&q), k: data(&k), v: data(&v) };
        backward::run(inputs, go, data(&kept), &lse, &mut d);
        for (slot, d) in slots.iter().zip(d) {
            slot.put(grads, d)?;
        }
        Ok(())
    }))
}
