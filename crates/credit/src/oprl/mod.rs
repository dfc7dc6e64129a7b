//! Online process rewards of agents: step rewards from a reward model that learns from whole trajectories.

mod advantages;
mod episodes;
mod loss;

pub use advantages::{Estimator, StepAdvantages, StepBaseline, normalized_step_rewards, step_advantages, step_rewards};
pub use episodes::{Episodes, Trajectory};
pub use loss::{Oprl, Pairing, oprl};
