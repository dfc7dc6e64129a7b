//! Losses whose gradient is a policy gradient: a file each.

mod bnpo;
mod cispo;
pub(crate) mod clip;
pub(crate) mod common;
mod dapo;
pub(crate) mod declare;
mod dr_grpo;
mod figures;
mod gmpo;
mod grpo;
mod gspo;
mod gspo_token;
mod luspo;
mod ppo;
mod reinforce_plus_plus;
mod rloo;
mod sapo;
mod vespo;

pub use bnpo::{Bnpo, bnpo};
pub use cispo::{Cispo, cispo};
pub use dapo::{Dapo, dapo};
pub use dr_grpo::{DrGrpo, dr_grpo};
pub use gmpo::{Gmpo, gmpo};
pub use grpo::{Grpo, grpo};
pub use gspo::{Gspo, gspo};
pub use gspo_token::{GspoToken, gspo_token};
pub use luspo::{Luspo, luspo};
pub use ppo::{Ppo, ppo};
pub use reinforce_plus_plus::{ReinforcePlusPlus, reinforce_plus_plus};
pub use rloo::{Rloo, rloo};
pub use sapo::{Sapo, sapo};
pub use vespo::{Vespo, vespo};
