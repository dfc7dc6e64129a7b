//! Orca pairs: a system message, a question and two answers, all text.
//!
//! Intel/orca_dpo_pairs calls the question `question`, Argilla's distilled version `input`.

use super::conversation::answer;
use super::row::{Fault, Row, ranked};
use super::{Format, Spec, Want};
use crate::record::{Message, Record, Response, Text};

pub(super) const SPECS: &[Spec] = &[
    Spec {
        before: &[Format::Preference],
        ..Spec::new(
            Format::OrcaPairs,
            &[("system", Want::Text), ("question", Want::Text), ("chosen", Want::Text), ("rejected", Want::Text)],
            |row| read(row, "question"),
        )
    },
    Spec {
        before: &[Format::Preference],
        ..Spec::new(
            Format::OrcaPairs,
            &[("system", Want::Text), ("input", Want::Text), ("chosen", Want::Text), ("rejected", Want::Text)],
            |row| read(row, "input"),
        )
    },
];

fn read(row: &mut Row<'_>, question: &str) -> Result<Record, Fault> {
    let system = row.text("system")?;
    let mut prompt = vec![Message::new("user", row.text(question)?)];
    if !system.trim().is_empty() {
        prompt.insert(0, Message::new("system", system));
    }
    let sides = [row.text("chosen")?, row.text("rejected")?];
    let mut record = row.record(Text::Chat(prompt));
    record.responses = ranked(sides.map(|side| Response::new(answer(side))), 0);
    Ok(record)
}
