//! Losses of lists of completions.

mod plackett_luce;

pub use plackett_luce::{PlackettLuce, plackett_luce};
