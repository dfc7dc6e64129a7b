//! Preference records, readers, tokenisation, packing and the audit.
//!
//! Data goes through this crate in four steps, each usable by itself:
//!
//! 1. `read` (feature `files`): JSONL or Parquet files become [`record::Pair`]s;
//! 2. [`split`]: a train and a test side, all records of one prompt together;
//! 3. `text` (feature `text`): chat template and tokenizer, records become [`tokens::TokenPair`]s;
//! 4. [`pack`]: token pairs become one flat run of tokens without padding, cut into micro-batches by
//!    [`batches`] in the order of [`order`].
//!
//! Whatever a step leaves out or cuts is counted, with its reason, in an [`audit::Audit`]. No tensor
//! appears here: everything is vectors of numbers. Without both features the crate still has
//! records, splits, tokens, packing and the audit.

pub mod audit;
pub mod batches;
pub mod collate;
pub mod digest;
pub mod error;
pub mod hh;
pub mod order;
pub mod pack;
pub mod prompt;
#[cfg(feature = "files")]
pub mod questions;
#[cfg(feature = "files")]
pub mod read;
pub mod record;
pub mod split;
pub mod stream;
#[cfg(feature = "text")]
pub mod text;
pub mod tokens;

pub use error::DataError;
