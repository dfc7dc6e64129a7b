//! Losses of completions that were sampled during training.

mod a2po;
mod nash_md;
mod xpo;

pub use a2po::{A2po, a2po};
pub use nash_md::{NashMd, nash_md};
pub use xpo::{Xpo, xpo};
