//! Most pairs of one prompt.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::stream::Stream;

/// Which pairs of a prompt stay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prefer {
    /// Drawn evenly.
    #[default]
    Random,
    /// Those with the largest gaps; of equal ones the earlier.
    LargestGap,
    /// Those with the smallest gaps; of equal ones the earlier.
    SmallestGap,
}

impl Prefer {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::LargestGap => "largest_gap",
            Self::SmallestGap => "smallest_gap",
        }
    }
}

/// Rows that stay where no key may have more than `most`, in their order: `Σ min(n_key, most)` of them. `gaps` are read by
/// preferences for gaps; missing ones count as 0.
///
/// ```
/// use tropism_data::construct::controls::{Prefer, cap};
/// let keys = ["a", "a", "b", "a"].map(str::to_owned);
/// assert_eq!(cap(&keys, &[1.0, 3.0, 1.0, 2.0], 2, Prefer::LargestGap, 0), [1, 2, 3]);
/// assert_eq!(cap(&keys, &[], 2, Prefer::Random, 0).len(), 3);
/// ```
pub fn cap(keys: &[String], gaps: &[f64], most: usize, prefer: Prefer, seed: u64) -> Vec<usize> {
    let mut by_key: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (row, key) in keys.iter().enumerate() {
        by_key.entry(key).or_default().push(row);
    }
    let gap = |row: usize| gaps.get(row).copied().unwrap_or(0.0);
    let mut kept = Vec::with_capacity(keys.len());
    for (key, mut rows) in by_key {
        match prefer {
            Prefer::Random => Stream::new(seed, &format!("construct/cap/{key}")).shuffle(&mut rows),
            Prefer::LargestGap => rows.sort_by(|&a, &b| gap(b).total_cmp(&gap(a))),
            Prefer::SmallestGap => rows.sort_by(|&a, &b| gap(a).total_cmp(&gap(b))),
        }
        rows.truncate(most);
        kept.extend(rows);
    }
    kept.sort_unstable();
    kept
}
