//! Preference records, readers, tokenisation, packing and the audit.
//!
//! Read rated responses, build a curriculum of pairs, and get packed batches of tokens:
//!
#![cfg_attr(all(feature = "files", feature = "text"), doc = "```")]
#![cfg_attr(not(all(feature = "files", feature = "text")), doc = "```ignore")]
//! use tropism_data::{batches::batches, build::*, construct::*, curriculum::*, pack::*, read::*, text::*, tokens::*};
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("rated.jsonl");
//! # let row = |i: usize| format!(
//! #     r#"{{"instruction": "{i} + 1?", "responses": [{{"text": "{}", "preference": 0.9}}, {{"text": "{i}", "preference": 0.2}},
//! #     {{"text": "no", "preference": 0.{i}}}]}}"#, i + 1).replace('\n', " ");
//! # std::fs::write(&path, (1..=6).map(|i| row(i) + "\n").collect::<String>())?;
//! let tokenizer = Tokenizer::train(["1 + 1?", "2 + 1?", "no"].into_iter(), 262)?; // or Tokenizer::load(folder)
//! let (records, read) = read_records(&path, &ReadOptions::default())?; // JSONL, CSV, Parquet, Arrow
//! let options = BuildOptions {
//!     construct: Curry::default().into(), // the best response against every other
//!     curriculum: Some(Curriculum { by: Difficulty::ScoreGap, stages: 3, ..Curriculum::default() }),
//!     ..BuildOptions::default()
//! };
//! let built = build(records, &options)?;
//! let pairs = built.pairs("train").unwrap_or_default();
//! let length = LengthOptions { max_length: Some(512), ..LengthOptions::default() };
//! let (pairs, cut) = tokenize_pairs(&tokenizer, &pairs, &length)?; // chat template, masks, truncation
//! let lengths: Vec<usize> = pairs.iter().map(TokenPair::len).collect();
//! for range in batches(&lengths, Some(4096), 4)? {
//!     let packed = pack_pairs(&pairs[range])?; // a prompt once, its answers behind it, no padding
//!     println!("{} tokens, {} of them scored", packed.tokens.len(), packed.targets.len());
//! }
//! assert_eq!((read.kept, pairs.len(), cut.kept), (6, 12, 12));
//! assert!(pairs.windows(2).all(|w| w[0].numbers["score_gap"] >= w[1].numbers["score_gap"])); // easy to hard
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Data goes through this crate in steps, each usable by itself:
//!
//! 1. `read` (feature `files`): JSONL, CSV, Parquet and Arrow files in any of the known `formats` become
//!    [`record::Record`]s, batch by batch, or [`record::Pair`]s;
//! 2. [`hygiene`] takes out duplicates and what evaluations are made of; [`split`] makes a train and a test side, all
//!    records of one prompt together;
//! 3. [`construct`] sets responses against one another: pairs, rankings, groups, single completions; [`curriculum`] orders
//!    them; [`build`] does both, and `output` (feature `files`) keeps the result as a prepared folder;
//! 4. `text` (feature `text`): chat template and tokenizer, records become [`tokens::TokenPair`]s, groups of responses
//!    [`tokens::TokenGroup`]s, conversations with a mask [`tokens::TokenChat`]s;
//! 5. [`pack`]: they become one flat run of tokens without padding, each prompt once, cut into micro-batches by
//!    [`batches`] in the order of [`order`], or by [`buckets`] in batches of like length.
//!
//! Whatever a step leaves out or cuts is counted, with its reason, in an [`audit::Audit`]. No tensor
//! appears here: everything is vectors of numbers. Without both features the crate still has
//! records, construction, curricula, splits, tokens, packing and the audit.

pub mod audit;
pub mod batches;
pub mod buckets;
pub mod build;
pub mod collate;
pub mod construct;
pub mod curriculum;
pub mod digest;
pub mod error;
#[cfg(feature = "files")]
pub mod formats;
pub mod hh;
pub mod hygiene;
#[cfg(feature = "files")]
mod near;
pub mod order;
#[cfg(feature = "files")]
pub mod output;
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
