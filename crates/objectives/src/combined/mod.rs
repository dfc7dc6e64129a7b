//! Combinations of methods.

mod sum;

pub use sum::{Sum, Term};
