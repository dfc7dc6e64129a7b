//! Typed containers and stable numerics shared by the objectives.
//!
//! A loss of this workspace is a pure function on sequence log-probabilities. This crate holds what goes in and
//! what comes out:
//!
//! * [`TokenLogps`]: token log-probabilities `[B, L]` with the mask of the values that count;
//! * [`SequenceLogps`], [`PairLogps`], [`TripleLogps`], [`ListLogps`]: their sums for one, two, three or `K` completions
//!   of a prompt, with lengths; [`RevisionLogps`]: pairs as answers and as revisions; [`PairTokens`]: pairs by token;
//! * [`PairScores`] and [`ScoreTable`]: predictions of reward models; [`ScoredPairs`] and [`ValuedTokens`]: figures that are
//!   trained beside log-probabilities;
//! * [`Columns`]: constants of a batch, such as score gaps; [`Column`]: what a method says about one;
//! * [`VocabularyFigure`]: a figure per token of whole distributions, read chunk by chunk;
//! * [`LossTerms`]: a loss per row, each row's share of the denominator, and [`Diagnostics`];
//! * [`numerics`]: the few functions that need care in floating point;
//! * [`options!`](crate::options!) and [`options`](mod@options): configuration structs of methods, and rules for their values;
//! * [`methods!`](crate::methods!): one type for all methods of a crate, by name; [`Origin`]: where a method is from.
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
#![deny(missing_docs)]

mod column;
mod columns;
mod diagnostics;
mod error;
mod lists;
mod masked;
mod methods;
pub mod numerics;
pub mod options;
mod pair_tokens;
mod pairs;
mod revisions;
mod scored_pairs;
mod scores;
mod sequences;
mod terms;
mod tokens;
mod triples;
mod valued_tokens;
mod vocabulary;

pub use column::{Column, ColumnError, Domain, Per};
pub use columns::Columns;
pub use diagnostics::Diagnostics;
pub use error::{CoreError, OptionError};
pub use lists::ListLogps;
pub use methods::Origin;
pub use pair_tokens::PairTokens;
pub use pairs::PairLogps;
pub use revisions::RevisionLogps;
pub use scored_pairs::ScoredPairs;
pub use scores::{PairScores, ScoreTable};
pub use sequences::SequenceLogps;
pub use terms::LossTerms;
pub use tokens::TokenLogps;
pub use triples::TripleLogps;
pub use valued_tokens::ValuedTokens;
pub use vocabulary::VocabularyFigure;
