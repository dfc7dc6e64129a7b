//! Fused, differentiable CPU operations on dfdx tensors: what a decoder-only transformer spends its time in.
//!
//! Every operation is a plain function: typed shapes in, typed shapes out, activations by value with their tape, weights by
//! reference. Each has a hand-written backward pass that is recorded on the tape and is checked in f64 against central
//! differences. Nothing here knows a model, a loss or a file.
//!
//! | operation | result | never stores |
//! |---|---|---|
//! | [`linear`], [`linear_add`] | `x W^T (+ residual)` | |
//! | [`rmsnorm`] | `x / sqrt(mean(x^2) + eps) * w` | the normalised rows |
//! | [`rope`] | rotated heads at given positions | per-call sine tables |
//! | [`attention`] | causal attention over packed prefix trees, grouped heads | a `[T, T]` matrix |
//! | [`decode_attention`] | attention of one new token per sequence over cached pages ([`Pages`]), shared ones read once; no gradient | |
//! | [`swiglu`] | `silu(gate) * up` | |
//! | [`embed`], [`rows`] | rows of a table, rows of an activation | |
//! | [`linear_logps`] | token log-probabilities | the `[N, V]` logits |
//! | [`range_sums`] | sums over ranges of a vector | |
//!
//! [`AdamW`] and [`Sgd`] update everything that a [`Params`] visitor reaches; [`grad_norm`] measures it.
//!
//! Layers, from below: `raw` (views of dfdx memory), `par`, `simd`, `mm` (slices in, slices out), one file per operation.
//! This is the only crate of the workspace that holds `unsafe` code.
//!
//! ```
//! use dfdx::prelude::*;
//! use tropism_ops::{Logps, Precision, linear_logps};
//!
//! let dev = Cpu::default();
//! let hidden: Tensor<(usize, Const<4>), f64, _> = dev.zeros_like(&(2, Const));
//! let head: Tensor<Rank2<3, 4>, f64, _> = dev.zeros();
//! let logps = linear_logps(hidden.leaky_trace(), &head, &[0, Logps::IGNORED], Precision::Full)?;
//! assert!((logps.as_vec()[0] + 3f64.ln()).abs() < 1e-12); // uniform over three tokens
//! assert_eq!(logps.as_vec()[1], 0.0);
//! # Ok::<(), tropism_ops::OpsError>(())
//! ```
#![allow(unsafe_code)]

mod attention;
mod bf16;
mod by_row;
mod embed;
mod error;
mod linear;
mod logits;
mod logps;
mod memory;
mod mm;
mod norms;
mod optim;
mod par;
mod params;
mod ranges;
mod raw;
mod rmsnorm;
mod rope;
mod scalar;
mod simd;
mod swiglu;
mod tree;

pub use attention::{Heads, PAGE, Paged, Pages, attention, decode_attention};
pub use embed::{embed, rows};
pub use error::OpsError;
pub use linear::{linear, linear_add};
pub use logits::{at_least, block_maxima, find_nan, largest_of, log_sum_exp, weights_of};
pub use logps::{Logps, linear_logps};
pub use memory::keep_freed_memory;
pub use mm::Precision;
pub use norms::{first_non_finite, grad_norm, param_norms};
pub use optim::{AdamW, Moments, Sgd};
pub use par::{for_each, with_threads};
pub use params::{Grads, Params, TapeOf, Visit, VisitMut, alloc_grads, tape_into};
pub use ranges::range_sums;
pub use raw::{data, data_mut, grad_mut};
pub use rmsnorm::rmsnorm;
pub use rope::{RopeTable, rope};
pub use scalar::Scalar;
pub use swiglu::swiglu;
pub use tree::{Segment, Tree};
