//! Token rewards that are implied by a policy that was trained with DPO.

mod credits;
mod logits;
mod profile;
mod tree;

pub use credits::{TokenCredits, token_credits};
pub use logits::{SoftValues, drift, proxy_logps, soft_values};
pub use profile::{CreditProfile, PositionCredit};
pub use tree::{Action, SoftTree, TreeValues};
