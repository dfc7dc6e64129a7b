//! From messages to packed tokens: templates, tokenizers, preparation, truncation, packing.
#![allow(clippy::unwrap_used, clippy::single_range_in_vec_init)]

mod packing;

#[cfg(feature = "text")]
mod episodes;
#[cfg(feature = "text")]
mod fast;
#[cfg(feature = "text")]
mod golden;
#[cfg(feature = "text")]
mod masks;
#[cfg(feature = "text")]
mod policy;
#[cfg(feature = "text")]
mod templates;
#[cfg(feature = "text")]
mod tokenisation;
#[cfg(feature = "text")]
mod tokenizer;
#[cfg(feature = "text")]
mod variants;
