//! The record of what a preparation step read, left out and cut.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How many row numbers are kept per reason.
pub const LISTED_ROWS: usize = 20;

/// A count with the first rows that it is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rows {
    /// How many rows.
    pub count: usize,
    /// Data row numbers (from 1) of the first [`LISTED_ROWS`].
    pub rows: Vec<usize>,
}

impl Rows {
    /// Counts one more row.
    pub fn add(&mut self, row: usize) {
        self.count += 1;
        if self.rows.len() < LISTED_ROWS {
            self.rows.push(row);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        let room = LISTED_ROWS.saturating_sub(self.rows.len());
        self.rows.extend(other.rows.iter().take(room));
    }
}

/// What truncation did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cut {
    /// Items of which at least one side was cut.
    pub items: Rows,
    /// Tokens lost, summed over the sides of kept items.
    pub tokens: usize,
    /// Tokens of the longest prompt with completion before any cut.
    pub longest: usize,
}

impl Cut {
    fn merge(&mut self, other: &Self) {
        self.items.merge(&other.items);
        self.tokens += other.tokens;
        self.longest = self.longest.max(other.longest);
    }
}

/// Rows read, kept, left out by reason, cut, and remarked on.
///
/// `read = kept + sum of dropped counts` holds for one step and after [`Audit::then`] and [`Audit::merge`].
///
/// ```
/// use tropism_data::audit::Audit;
/// let mut audit = Audit::default();
/// audit.keep();
/// audit.drop_row("identical sides", 2);
/// assert_eq!((audit.read, audit.kept), (2, 1));
/// assert_eq!(audit.dropped["identical sides"].rows, [2]);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// Rows read.
    pub read: usize,
    /// Rows kept.
    pub kept: usize,
    /// Rows left out, by reason.
    pub dropped: BTreeMap<String, Rows>,
    /// What truncation did.
    pub cut: Cut,
    /// Kept rows that somebody should know about, by remark.
    pub notes: BTreeMap<String, Rows>,
}

impl Audit {
    /// Counts a row that is kept.
    pub fn keep(&mut self) {
        self.read += 1;
        self.kept += 1;
    }

    /// Counts a row that is left out.
    pub fn drop_row(&mut self, reason: &str, row: usize) {
        self.read += 1;
        self.dropped.entry(reason.to_owned()).or_default().add(row);
    }

    /// Remarks on a row without leaving it out.
    pub fn note(&mut self, remark: &str, row: usize) {
        self.notes.entry(remark.to_owned()).or_default().add(row);
    }

    /// Number of rows left out, over all reasons.
    pub fn dropped_count(&self) -> usize {
        self.dropped.values().map(|rows| rows.count).sum()
    }

    /// The reasons with their counts, for an error message: `identical sides: 3, empty prompt: 1`.
    pub fn reasons(&self) -> String {
        let reasons: Vec<String> = self.dropped.iter().map(|(reason, rows)| format!("{reason}: {}", rows.count)).collect();
        reasons.join(", ")
    }

    /// Adds the audit of other rows, for instance of a second file. Row numbers stay those of their own file.
    pub fn merge(&mut self, other: &Self) {
        self.read += other.read;
        self.kept += other.kept;
        self.absorb(other);
    }

    /// Adds the audit of the following step, which read the rows that this one kept.
    pub fn then(&mut self, next: &Self) {
        self.kept = next.kept;
        self.absorb(next);
    }

    fn absorb(&mut self, other: &Self) {
        for (reason, rows) in &other.dropped {
            self.dropped.entry(reason.clone()).or_default().merge(rows);
        }
        for (remark, rows) in &other.notes {
            self.notes.entry(remark.clone()).or_default().merge(rows);
        }
        self.cut.merge(&other.cut);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn audit(kept: usize, dropped: usize) -> Audit {
        let mut audit = Audit::default();
        (0..kept).for_each(|_| audit.keep());
        (0..dropped).for_each(|row| audit.drop_row("why", row + 1));
        audit
    }

    #[test]
    fn lists_the_first_rows_only() {
        let audit = audit(0, 50);
        assert_eq!(audit.dropped["why"].count, 50);
        assert_eq!(audit.dropped["why"].rows, (1..=LISTED_ROWS).collect::<Vec<_>>());
        assert_eq!(audit.reasons(), "why: 50");
    }

    #[test]
    fn steps_and_files_keep_the_balance() {
        let mut files = audit(5, 2);
        files.merge(&audit(7, 1));
        assert_eq!((files.read, files.kept, files.dropped_count()), (15, 12, 3));
        let mut next = audit(10, 2);
        next.note("odd", 4);
        next.cut.longest = 9;
        files.then(&next);
        assert_eq!((files.read, files.kept, files.dropped_count()), (15, 10, 5));
        assert_eq!(files.notes["odd"].rows, [4]);
        assert_eq!(files.cut.longest, 9);
    }

    #[test]
    fn merging_respects_the_list_limit() {
        let mut left = audit(0, 15);
        left.merge(&audit(0, 15));
        assert_eq!(left.dropped["why"].count, 30);
        assert_eq!(left.dropped["why"].rows.len(), LISTED_ROWS);
    }

    #[test]
    fn json_round_trip() {
        let audit = audit(2, 3);
        let json = serde_json::to_string(&audit).unwrap();
        assert_eq!(serde_json::from_str::<Audit>(&json).unwrap(), audit);
    }
}
