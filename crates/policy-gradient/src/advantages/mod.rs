//! Advantages from rewards: a file each. All of it is made before a step is split.

mod baseline;
mod gae;
mod group;
mod leave_one_out;
mod reinforce;
mod rewards;
mod several;
mod steps;
mod token_rewards;
mod turns;
mod whiten;

pub use baseline::{ReinforceBaseline, reinforce_baseline};
pub use gae::{Gae, Returns, gae};
pub use group::{Deviation, GroupNormalized, ScaleRewards, group_normalized};
pub use leave_one_out::{ClipRange, LeaveOneOut, leave_one_out};
pub use reinforce::{Reinforce, reinforce};
pub(crate) use rewards::is_flat;
pub use rewards::{Advantages, RewardTable, ZeroVariance};
pub use several::{NormalizeThenSum, floor_penalty, normalize_then_sum};
pub use steps::{Steps, step_normalized};
pub use token_rewards::{ScorePlace, TokenRewards, sequence_penalty, token_rewards};
pub use turns::{TurnMixture, turn_mixture};
pub use whiten::{Shift, Variance, whiten};
