//! Objectives that tell right from wrong completions apart, with a trust region instead of clipping: a file each.

mod contrast;
mod disco;
mod drpo;
mod trust_region;

pub use contrast::Score;
pub use disco::{Disco, Negatives, disco};
pub use drpo::{Drpo, drpo, length_weights};
pub use trust_region::old_policy_kl;
