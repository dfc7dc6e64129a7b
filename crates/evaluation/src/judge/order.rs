//! Which orders of a pair are asked.
use crate::SwapRule;
use serde::{Deserialize, Serialize};

/// Which orders of a pair are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Orders {
    /// as given: half the cost, and position bias cannot be seen
    One,
    /// as given and exchanged; the rule says how two scores become one
    Both(SwapRule),
}

impl Default for Orders {
    fn default() -> Self {
        Orders::Both(SwapRule::default())
    }
}
