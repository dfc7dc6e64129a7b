//! Losses of demonstrations.

mod dpa;
mod f_sft;
mod f_sft_tokens;
mod f_sft_values;
mod implicit;
mod sft;

pub use dpa::{Direction, Dpa, dpa};
pub use f_sft::{FSft, f_sft};
pub use f_sft_tokens::{FSftTokens, f_sft_tokens};
pub use f_sft_values::{FSftValues, f_sft_values};
pub use implicit::{Outside, SftDivergence};
pub use sft::{Sft, sft};
