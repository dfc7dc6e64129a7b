//! What a construction used and left out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::audit::Rows;
use crate::record::Record;

/// Prompts read, prompts that gave rows, rows made, and everything that was left out, by reason.
///
/// `prompts = used + Σ skipped` holds; `left_out` counts single pairs or rows, and `ignored` responses that took no part.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConstructAudit {
    /// The strategy.
    pub strategy: String,
    /// The figure that ranks responses.
    pub score: String,
    /// Prompts read.
    pub prompts: usize,
    /// Their responses.
    pub responses: usize,
    /// Prompts that gave at least one row.
    pub used: usize,
    /// Rows made, before controls.
    pub rows: usize,
    /// Prompts that gave none, by reason.
    pub skipped: BTreeMap<String, Rows>,
    /// Pairs left out of prompts, by reason.
    pub left_out: BTreeMap<String, Rows>,
    /// Responses that took no part, by reason.
    pub ignored: BTreeMap<String, Rows>,
    /// What somebody should know about rows that were made.
    pub notes: BTreeMap<String, Rows>,
    /// What the controls did, in their order.
    pub controls: Vec<super::super::controls::ControlAudit>,
}

impl ConstructAudit {
    pub(super) fn skip(&mut self, reason: &str, record: &Record) {
        self.skipped.entry(reason.to_owned()).or_default().add(record.source.row);
    }

    pub(super) fn leave_out(&mut self, reason: &str, count: usize, record: &Record) {
        let rows = |rows: &mut Rows| (0..count).for_each(|_| rows.add(record.source.row));
        if count > 0 {
            rows(self.left_out.entry(reason.to_owned()).or_default());
        }
    }

    pub(super) fn ignore(&mut self, reason: &str, record: &Record) {
        self.ignored.entry(reason.to_owned()).or_default().add(record.source.row);
    }

    pub(super) fn note(&mut self, remark: &str, record: &Record) {
        self.notes.entry(remark.to_owned()).or_default().add(record.source.row);
    }
}
