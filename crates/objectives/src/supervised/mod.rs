//! Losses of demonstrations.

mod sft;

pub use sft::{Sft, sft};
