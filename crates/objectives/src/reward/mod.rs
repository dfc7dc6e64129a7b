//! Losses of reward models.

mod aspects;
mod bradley_terry;
mod steps;

pub use aspects::{AspectRegression, aspect_regression};
pub use bradley_terry::{BradleyTerry, RewardMargin, bradley_terry};
pub use steps::{ProcessReward, TrainedSteps, process_reward, step_ends};
