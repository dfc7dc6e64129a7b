//! Reinforced token optimisation: token rewards of a DPO model for PPO.

mod rewards;

pub use rewards::{Payout, Rto, RtoModels, RtoRewards, rto_rewards};
