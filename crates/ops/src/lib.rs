//! Fused, differentiable CPU operations on dfdx tensors: what a decoder-only transformer spends its time in.
//!
//! Every operation is a plain function: typed shapes in, typed shapes out, activations by value with their tape, weights by
//! reference. Each has a hand-written backward pass that is recorded on the tape and is checked in f64 against central
//! differences. Nothing here knows a model, a loss or a file.
//!
//! | operation | result | never stores |
//! |---|---|---|
//! | [`linear`], [`linear_add`], [`linear_bias`], [`linear_bias_add`] | `x W^T (+ bias) (+ residual)` | |
//! | [`rmsnorm`], [`rmsnorm_offset`] | `x / sqrt(mean(x^2) + eps) * (offset + w)` | the normalised rows |
//! | [`layernorm`] | `(x - mean) / sqrt(var + eps) * w + b` | the normalised rows |
//! | [`rope`] | rotated heads at given positions | per-call sine tables |
//! | [`attention`] | causal attention over packed prefix trees, grouped heads, soft caps, windows | a `[T, T]` matrix |
//! | [`decode_attention`] | attention of one new token per sequence over cached pages ([`Pages`]), shared ones read once; no gradient | |
//! | [`linear_frozen`], [`linear_logps_frozen`], [`embed_frozen`] | the same with [`Frozen`] weights of 16 or 8 bits | |
//! | [`checkpoint`] | a [`Part`] of a model, run again in the backward pass | its activations |
//! | [`activate`], [`gated`] | `act(x)`, `act(gate) * up` | |
//! | [`conv`] | images and clips under a sliding kernel ([`Window`]) | the patches |
//! | [`embed`], [`embed_scaled`], [`rows`], [`columns`] | rows of a table, rows and columns of an activation | |
//! | [`plus`], [`scaled`], [`softcap`] | `a + b`, `factor x`, `cap tanh(x / cap)` | |
//! | [`linear_logps`], [`linear_logps_capped`] | token log-probabilities | the `[N, V]` logits |
//! | [`linear_logps_detailed`] | the same with entropies, the most probable tokens, `log sum p^2` | the `[N, V]` logits |
//! | [`vocabulary_figure`] | a figure per token of several models' whole distributions, such as a divergence | the `[N, V]` logits |
//! | [`range_sums`] | sums over ranges of a vector | |
//! | [`cells`] | a vector as padded rows | |
//!
//! A weight is a plain tensor, or a [`Param`] that says whether it is trained; without training no gradient of it is made.
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

mod activation;
mod attention;
mod bf16;
mod bias;
mod by_row;
mod checkpoint;
mod conv;
mod embed;
mod error;
mod frozen;
mod layernorm;
mod linear;
mod logits;
mod logps;
mod machine;
mod memory;
mod mm;
mod moments;
mod norms;
mod operand;
mod optim;
mod par;
mod params;
mod ranges;
mod raw;
mod rmsnorm;
mod rope;
mod scalar;
mod shape;
mod simd;
mod softcap;
mod team;
mod tree;
mod vocabulary;
mod weights;

pub use activation::{Activation, activate, gated};
pub use attention::{AttentionConfig, Heads, PAGE, Paged, Pages, attention, decode_attention};
pub use bf16::Bf16Path;
pub use bias::{linear_bias, linear_bias_add};
pub use checkpoint::{Part, checkpoint};
pub use conv::{Window, conv};
pub use embed::{embed, embed_scaled, rows};
pub use error::OpsError;
pub use frozen::{Frozen, FrozenFormat, embed_frozen};
pub use layernorm::layernorm;
pub use linear::{linear, linear_add, linear_frozen};
pub use logits::{at_least, block_maxima, find_nan, largest_of, log_sum_exp, weights_of};
pub use logps::{
    DetailedLogps, Logps, LogpsExtras, TopLogps, linear_logps, linear_logps_capped, linear_logps_detailed,
    linear_logps_detailed_frozen, linear_logps_frozen,
};
pub use machine::Machine;
pub use memory::keep_freed_memory;
pub use mm::Precision;
pub use moments::{Moment, MomentFormat, Moments};
pub use norms::{grad_norm, param_norms};
pub use operand::{Operand, Param};
pub use optim::{AdamW, Sgd};
pub use par::{for_each, with_threads};
pub use params::{Grads, Params, TapeOf, Visit, VisitMut, alloc_grads, tape_into};
pub use ranges::{cells, range_sums};
pub use raw::{data, data_mut, grad_mut};
pub use rmsnorm::{rmsnorm, rmsnorm_offset};
pub use rope::{RopeTable, rope};
pub use scalar::Scalar;
pub use shape::{columns, plus, scaled};
pub use softcap::softcap;
pub use tree::{Segment, Tree};
pub use tropism_core::VocabularyFigure;
pub use vocabulary::{OtherHead, VocabularyFigures, vocabulary_figure, vocabulary_figure_frozen};
