//! Reward models: a stage that trains one on pairs, and rewards that score completions with one.
mod checkpoint;
mod models;
mod options;
mod run;
mod score;

pub use models::{LoadedModels, ModelReward, RewardModels};
pub use options::{Aspect, Pooling, RewardModelOptions};
pub use run::RewardRun;
pub use score::{RewardCard, RewardModel, Spread};
