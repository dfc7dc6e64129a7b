//! What log-probabilities of pairs and distributions say about training: ranking accuracy, displacement, divergence from
//! the reference, differential information.
//!
//! Log-probabilities are nats, summed over the tokens of a completion unless said otherwise.

mod did;
mod did_samples;
mod difficulty;
mod displacement;
mod idealised;
mod kl;
mod ranking;
mod scored;
mod three_d;

pub use did::{Did, did, expected_displacement, optimal_rejected, reconstruct, source_preference};
pub use did_samples::{DidSample, MarginOrder, did_entropy_sampled, log_margin_order};
pub use difficulty::{Difficulty, difficulties, required_loss};
pub use displacement::{Displacement, displacement};
pub use idealised::{AlignmentGap, BETA_GRID, Idealised, Raters, alignment_gap, idealised_accuracy, optimal_margin};
pub use kl::{KlEstimates, entropy, jensen_shannon, kl_estimates, kl_exact, kl_rao_blackwell, mean_entropy};
pub use ranking::{Flips, RankingReport, exact_match_accuracy, ranking_report, tie_aware_accuracy};
pub use scored::ScoredPairs;
pub(crate) use scored::{sigmoid, softplus};
pub use three_d::{LogGradients, ThreeD, log_gradients, three_d_properties};
