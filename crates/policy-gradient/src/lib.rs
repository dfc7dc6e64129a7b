//! Advantages and policy-gradient losses on token log-probabilities.

mod advantages;
mod aggregation;
mod critic;
mod discriminative;
mod entropy;
mod error;
mod family;
mod field;
#[cfg(feature = "golden")]
pub mod golden;
mod groups;
mod kl;
mod method;
mod metrics;
mod options;
mod rollout;
mod row;
mod sampler;
mod shaping;
mod surrogates;

pub use advantages::*;
pub use aggregation::Aggregation;
pub use critic::{Critic, ValueClip, value_loss};
pub use discriminative::*;
pub use entropy::entropy_threshold;
pub use error::PolicyGradientError;
pub use family::{METHODS, PolicyGradient, keys};
pub use field::{Coupling, Field, Need};
pub use groups::Groups;
pub use kl::{Estimator, KlPenalty, KlWeighting};
pub use method::Method;
pub use metrics::metrics;
pub use rollout::Rollout;
pub use row::RatioLevel;
pub use sampler::{CorrectionLevel, OutOfBounds, SamplerCorrection};
pub use shaping::*;
pub use surrogates::*;
