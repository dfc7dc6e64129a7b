//! Stages, the training loop, checkpoints and exact resume.
//!
//! A run is a list of named [`Stage`]s; each starts from a model (the run's, or what an earlier stage made), may have a
//! frozen reference model, and ends with a better one. [`StageRun`] is one of them in motion: it turns packed rows into
//! log-probabilities, hands them to the stage's objective and updates the policy. No formula lives here.
//!
//! - Losses and gradients accumulate as sums over the micro-batches of a step and are divided once, by the step's whole
//!   weight: any split into micro-batches gives the same update.
//! - Reference log-probabilities are computed once, before the first step, and reused over all epochs.
//! - A [checkpoint](StageRun::save) holds weights, optimiser moments, the order of the data and the reference
//!   log-probabilities; a run [restored](StageRun::restore) from it makes the same bits as one that was never stopped.
//! - [`OnlineRun`] is a stage that samples with its own policy: groups of completions, ratings, advantages, updates by a policy
//!   gradient. Groups stay whole in every split, masks cover exactly the sampled tokens.
//! - [`RewardRun`] trains a reward model on pairs; [`ModelReward`] scores completions with one.
//! - [`DistilRun`] distils a teacher that is made of two earlier models.
//! - A value that is not finite ends the run with the stage, the step and the row's file and line.

mod checkpoint;
mod constants;
mod coupled;
pub mod denoise;
mod distil;
mod error;
mod feed;
mod follow;
mod forward;
mod kept;
mod metrics;
mod online;
mod optimiser;
mod progress;
mod reference;
mod reward;
mod rows;
mod run;
mod schedule;
mod score;
mod stage;
mod step;
mod streams;

pub use checkpoint::Saved;
pub use distil::*;
pub use error::TrainError;
pub use kept::checkpointed_stage;
pub use metrics::{Metrics, StepMetrics};
pub use online::*;
pub use progress::Progress;
pub use reference::{ReferenceLogps, reference_logps};
pub use reward::*;
pub use rows::{RowKind, Rows, TokenRevision, TokenTriple};
pub use run::StageRun;
pub use schedule::{Schedule, learning_rate};
pub use score::{PairScore, SequenceScore, pair_diagnostics, score_pairs, score_samples};
pub use stage::{Precision, Stage};
