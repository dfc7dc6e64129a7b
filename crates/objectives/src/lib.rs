//! Preference and supervised losses on sequence log-probabilities.
//!
//! Each method is one file with a config struct and a pure function from log-probabilities to
//! [`LossTerms`](tropism_core::LossTerms): losses per row, each row's weight in the denominator, and diagnostics.
//! No function takes a mean; the caller divides once over all rows of its step.
//!
//! | method | function | reads | score compared |
//! |---|---|---|---|
//! | supervised | [`sft()`] | completions | – |
//! | DPO | [`dpo()`] | pairs, reference | log-ratio, summed over tokens |
//! | IPO | [`ipo()`] | pairs, reference | log-ratio, averaged or summed over tokens |
//! | SimPO | [`simpo()`] | pairs | log-probability, averaged over tokens |
//!
//! [`Objective`] picks one by name from a configuration file.
//!
//! ## Gradients
//!
//! Losses are differentiable in the policy's log-probabilities; references, lengths and diagnostics are constants.
//! Trace one side of the pair with the gradient store and give the other an empty tape:
//!
//! ```
//! use dfdx::prelude::*;
//! use tropism_core::PairLogps;
//! use tropism_objectives::{Dpo, dpo};
//!
//! let dev = Cpu::default();
//! let (chosen, rejected) = (dev.tensor([-10.0_f64]), dev.tensor([-12.0]));
//! let policy = PairLogps::new(chosen.leaky_trace(), rejected.retaped(), &[5], &[8])?;
//! let reference = PairLogps::new(dev.tensor([-11.0]), dev.tensor([-11.5]), &[5], &[8])?;
//! let terms = dpo(policy, reference, &Dpo::default())?;
//! assert_eq!(terms.diagnostics.get("rewards/accuracies"), Some([1.0].as_slice()));
//! let loss = terms.mean()?;
//! assert!((loss.array() - 0.62095705).abs() < 1e-8);
//! let grads = loss.backward();
//! assert!((grads.get(&chosen).array()[0] + 0.04625702).abs() < 1e-8);
//! assert!((grads.get(&rejected).array()[0] - 0.04625702).abs() < 1e-8);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ## Diagnostics
//!
//! One value per row, in nats, with the names known from TRL. Pairwise methods report `rewards/chosen`,
//! `rewards/rejected`, `rewards/margins` (their difference), `rewards/accuracies` (1 where chosen is strictly above
//! rejected), `rewards/ties`, `logps/chosen`, `logps/rejected` (sums, whatever the loss divides by),
//! `lengths/chosen`, `lengths/rejected` (tokens); SimPO adds `mean_logps/chosen` and `mean_logps/rejected`, which TRL
//! logs under the names of the sums. [`sft()`] reports `logps` and `lengths`.
//!
//! ## Features
//!
//! `golden` adds the module `golden`, which checks the losses and gradients against a file of reference figures.

mod dpo;
mod error;
mod family;
#[cfg(feature = "golden")]
pub mod golden;
mod ipo;
mod pairwise;
mod sft;
mod simpo;

pub use dpo::{Dpo, dpo};
pub use error::ObjectiveError;
pub use family::{METHODS, Objective, keys};
pub use ipo::{Ipo, Normalization, ipo};
pub use sft::{Sft, sft};
pub use simpo::{Simpo, simpo};
