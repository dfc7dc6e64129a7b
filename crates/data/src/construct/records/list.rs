//! One record's responses as a construction sees them.

use super::{ConstructAudit, ScoreBy};
use crate::record::{Record, Response};

/// The responses of a record that take part, with their scores.
pub(super) struct List<'r> {
    /// Index of the record.
    pub(super) at: usize,
    pub(super) record: &'r Record,
    pub(super) key: String,
    /// Indices of the responses that take part.
    pub(super) taken: Vec<usize>,
    /// Their scores.
    pub(super) scores: Vec<f64>,
}

impl<'r> List<'r> {
    /// Responses with some text and a score; the others are counted.
    pub(super) fn new(at: usize, record: &'r Record, by: &ScoreBy, audit: &mut ConstructAudit) -> Self {
        let (mut taken, mut scores) = (Vec::new(), Vec::new());
        for (i, response) in record.responses.iter().enumerate() {
            match by.of(response) {
                _ if response.content.is_empty() => audit.ignore("empty response", record),
                None => audit.ignore("no score", record),
                Some(score) => {
                    taken.push(i);
                    scores.push(score);
                }
            }
        }
        Self { at, record, key: record.prompt_key(), taken, scores }
    }

    /// The response at a place of the scores.
    pub(super) fn response(&self, place: usize) -> &'r Response {
        &self.record.responses[self.taken[place]]
    }

    /// The responses, in the order of the scores.
    pub(super) fn responses(&self) -> impl Iterator<Item = &'r Response> + '_ {
        self.taken.iter().map(|&i| &self.record.responses[i])
    }

    /// Whether two responses say the same.
    pub(super) fn same(&self, a: usize, b: usize) -> bool {
        self.response(a).content == self.response(b).content
    }
}
