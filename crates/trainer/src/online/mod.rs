//! Stages that sample: completions, rewards, credit, updates.
mod advantages;
mod any;
mod batch;
mod checkpoint;
mod checks;
mod directions;
mod engine;
mod episodes;
mod figures;
mod fresh;
mod fresh_checkpoint;
mod fresh_rows;
mod fresh_run;
mod gather;
mod judge;
mod learn;
mod options;
mod pass;
mod process;
mod rated;
mod replay;
mod rewards;
mod rollout;
mod run;
mod shaping;
mod steps;
mod workers;

pub use advantages::{AdvantageOptions, RewardKl};
pub use any::AnyStage;
pub use checkpoint::SavedOnline;
pub use directions::Directions;
pub use engine::{Engine, OpenAiEngine};
pub use episodes::Player;
pub(crate) use fresh::OBJECTIVE;
pub use fresh::{Choose, FreshOptions, HeadOptions, PairRule};
pub use fresh_run::FreshRun;
pub use gather::{Between, Environment, PromptRow};
pub use judge::JudgeReward;
pub use options::{DynamicSampling, PolicyGradientOptions, RolloutOptions};
pub use process::ProcessRewardOptions;
pub use replay::ReplayOptions;
pub use rewards::{
    AspectReward, Completion, Implicit, Rating, RatingFailure, RewardFunction, TokenLength, WeightedReward, WorldReward,
    rate,
};
pub(crate) use rollout::sample;
pub use run::OnlineRun;
pub use shaping::TokenRewardOptions;
pub use workers::RatingOptions;
