//! Losses on pairs.

mod attention;
mod sail;
mod tdpo;
mod tgdpo;
mod token_dpo;
mod weighted;

pub use attention::{attention_weights, instruction_attention};
pub use sail::{Sail, SailAttention, sail, sail_attention};
pub use tdpo::{Tdpo1, Tdpo2, tdpo1, tdpo2};
pub use tgdpo::{Tgdpo, guidance_weights, tgdpo, tgdpo_with_rewards};
pub use token_dpo::{TokenDpo, WeightedTokenDpo, token_dpo, weighted_token_dpo};
