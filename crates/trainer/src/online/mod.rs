//! Stages that sample: completions, rewards, credit, updates.
mod advantages;
mod any;
mod batch;
mod checkpoint;
mod directions;
mod figures;
mod fresh;
mod fresh_rows;
mod fresh_run;
mod gather;
mod learn;
mod options;
mod pass;
mod rewards;
mod rollout;
mod run;

pub use advantages::{AdvantageOptions, RewardKl};
pub use any::AnyStage;
pub use checkpoint::SavedOnline;
pub use directions::Directions;
pub(crate) use fresh::OBJECTIVE;
pub use fresh::{Choose, FreshOptions, HeadOptions, PairRule};
pub use fresh_run::FreshRun;
pub use gather::{Environment, PromptRow};
pub use options::{DynamicSampling, PolicyGradientOptions, RolloutOptions};
pub use rewards::{Completion, Implicit, Rating, RewardFunction, TokenLength, WeightedReward, WorldReward, rate};
pub use run::OnlineRun;
