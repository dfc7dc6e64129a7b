//! From losses per token to the loss of a step.

use serde::{Deserialize, Serialize};
use tropism_core::OptionError;

use crate::Groups;

/// How losses per token become the loss of a step. The methods of one name differ in nothing as often as in this.
///
/// With `l_it` of row `i` with `n_i` counted tokens, over all rows of the **step**:
///
/// | name | loss | row's share of the denominator |
/// |---|---|---|
/// | `token_mean` | `Σ_it l_it / Σ_i n_i` | `n_i` |
/// | `sequence_mean` | `mean_i (Σ_t l_it / max(n_i, 1))` | 1 |
/// | `sequence_sum` | `mean_i Σ_t l_it` | 1 |
/// | `{ constant = L }` | `Σ_it l_it / (rows · L)` | `L` |
/// | `group_mean` | mean over groups of `Σ_{i in group, t} l_it / Σ_{i in group} n_i` | 1 / rows of its group |
///
/// Rows that [`Rollout::with_kept`](crate::Rollout::with_kept) drops have a share of 0. `group_mean` needs whole groups in
/// each micro-batch, the others any split.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregation {
    /// Every token of the step counts the same.
    TokenMean,
    /// Every completion counts the same; tokens of long completions count less.
    SequenceMean,
    /// The sum over a completion's tokens, averaged over completions.
    SequenceSum,
    /// A constant instead of a length, such as the longest length allowed.
    Constant(f64),
    /// Every prompt counts the same.
    GroupMean,
}

impl Aggregation {
    /// Checks the constant.
    pub(crate) fn check(method: &'static str, key: &'static str, value: &Self) -> Result<(), OptionError> {
        match *value {
            Self::Constant(length) => tropism_core::options::positive(method, key, &length),
            _ => Ok(()),
        }
    }

    /// The weight of a token in its row's loss, and the row's share of the denominator, for each row of `tokens` counted
    /// tokens that is `kept`.
    pub(crate) fn weights(self, tokens: &[usize], kept: &[bool], groups: Option<&Groups>) -> Vec<(f64, f64)> {
        let of_group = |row: usize| {
            let alone = [row];
            let members = groups.map_or(alone.as_slice(), |g| g.members()[g.of(row)].as_slice());
            let kept = members.iter().filter(|&&r| kept[r]);
            kept.fold((0.0, 0.0), |(rows, n), &r| (rows + 1.0, n + tokens[r] as f64))
        };
        let weight = |row: usize| {
            let n = tokens[row] as f64;
            match self {
                _ if !kept[row] => (0.0, 0.0),
                Self::TokenMean => (1.0, n),
                Self::SequenceMean => (1.0 / n.max(1.0), 1.0),
                Self::SequenceSum => (1.0, 1.0),
                Self::Constant(length) => (1.0, length),
                Self::GroupMean => {
                    let (rows, n) = of_group(row);
                    (1.0 / n.max(1.0), 1.0 / rows)
                }
            }
        };
        (0..tokens.len()).map(weight).collect()
    }
}
