//! Losses of single completions with a verdict, and what they share.

mod apo_zero;
mod bco;
mod kto;
mod shared;

pub use apo_zero::{ApoZeroUnpaired, apo_zero_unpaired};
pub use bco::{Bco, DensityRatio, RunningMoments, bco};
pub use kto::{Kto, kl_baseline, kto};
pub use shared::DESIRABLE;
pub(crate) use shared::{Unpaired, on_unpaired};
