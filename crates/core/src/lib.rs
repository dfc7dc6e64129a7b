//! Typed containers and stable numerics shared by the objectives.
//!
//! A loss of this workspace is a pure function on sequence log-probabilities. This crate holds what goes in and
//! what comes out:
//!
//! * [`TokenLogps`]: token log-probabilities `[B, L]` with the mask of the values that count;
//! * [`SequenceLogps`] and [`PairLogps`]: their sums per sequence or per pair, with lengths;
//! * [`LossTerms`]: a loss per row, each row's share of the denominator, and [`Diagnostics`];
//! * [`numerics`]: the few functions that need care in floating point.
//!
//! Everything is generic over the batch axis (`Const<N>` or `usize`), the float dtype, the device and the tape of
//! dfdx. Log-probabilities are in nats, lengths in tokens.
//!
//! ```
//! use dfdx::prelude::*;
//! use tropism_core::{PairLogps, TokenLogps};
//!
//! let dev = Cpu::default();
//! // Two completions a side, three token columns; the last column of the second chosen row is padding.
//! let chosen: Tensor<Rank2<2, 3>, f64, _> = dev.tensor([[-0.5, -1.0, -0.3], [-0.2, -0.4, f64::NEG_INFINITY]]);
//! let rejected: Tensor<Rank2<2, 3>, f64, _> = dev.tensor([[-0.9, -1.6, -2.0], [-1.0, -1.0, -1.0]]);
//! let pairs = PairLogps::from_tokens(
//!     TokenLogps::new(chosen.leaky_trace(), &[true, true, true, true, true, false])?,
//!     TokenLogps::new(rejected.retaped(), &[true; 6])?,
//! )?;
//! assert_eq!(pairs.rejected_lengths.array(), [3.0, 3.0]);
//! assert!((pairs.chosen.array()[1] + 0.6).abs() < 1e-12);
//! # Ok::<(), tropism_core::CoreError>(())
//! ```

mod diagnostics;
mod error;
pub mod numerics;
mod pairs;
mod sequences;
mod terms;
mod tokens;

pub use diagnostics::Diagnostics;
pub use error::CoreError;
pub use pairs::PairLogps;
pub use sequences::SequenceLogps;
pub use terms::LossTerms;
pub use tokens::TokenLogps;
