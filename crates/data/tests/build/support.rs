//! Records and lists of scores to build from.

use proptest::prelude::*;
use tropism_data::construct::Scores;
use tropism_data::record::{Record, Response, Source, Text};

/// Scores with many ties.
pub(crate) fn scores() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec((-4i32..4).prop_map(|score| f64::from(score) / 2.0), 0..9)
}

pub(crate) fn list(values: &[f64]) -> Scores<'_> {
    Scores::new("k", values).unwrap()
}

/// A record with a plain prompt and one response per score; texts differ.
pub(crate) fn record(row: usize, scores: &[f64]) -> Record {
    let mut record = Record::new(Source::row("made up", row), Text::Plain(format!("prompt {row}:")));
    record.responses =
        scores.iter().enumerate().map(|(i, &score)| response(&format!(" {i}{}", "x".repeat(i)), score)).collect();
    record
}

pub(crate) fn response(text: &str, score: f64) -> Response {
    Response { score: Some(score), ..Response::new(Text::Plain(text.to_owned())) }
}

/// Records with one list of scores each.
pub(crate) fn records(lists: &[Vec<f64>]) -> Vec<Record> {
    lists.iter().enumerate().map(|(i, scores)| record(i + 1, scores)).collect()
}
