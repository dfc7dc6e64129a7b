//! Nectar (Berkeley): seven answers to a prompt, ranked.

use super::conversation::{answer, ask, dialogue_prompt};
use super::row::{Fault, Row};
use super::{Format, Spec, Want};
use crate::record::{Record, Response, Text, Value};

pub(super) const SPECS: &[Spec] = &[Spec {
    optional: &[("turns", Want::Number), ("num_responses", Want::Number), ("good_natured", Want::Flag)],
    before: &[Format::PromptOnly],
    ..Spec::new(Format::Nectar, &[("prompt", Want::Text), ("answers", Want::List)], read)
}];

fn read(row: &mut Row<'_>) -> Result<Record, Fault> {
    let (prompt, answers) = (row.text("prompt")?, row.list("answers")?);
    let prompt = dialogue_prompt(&prompt).map_or_else(|| ask(prompt), Text::Chat);
    let mut record = row.record(prompt);
    for (at, item) in answers.iter().enumerate() {
        record.responses.push(response(at, item)?);
    }
    row.keep_number(&mut record, "turns")?;
    if let Some(expected) = row.number_if_any("num_responses")?
        && expected != answers.len() as f64
    {
        return Err(Fault::Broken(format!("column `answers` has {} items, `num_responses` says {expected}", answers.len())));
    }
    let natured = row.flag_if_any("good_natured")?;
    record.numbers.extend(natured.map(|good| ("good_natured".to_owned(), f64::from(good))));
    Ok(record)
}

fn response(at: usize, item: &Value) -> Result<Response, Fault> {
    let (text, rank) = (item.get("answer").and_then(Value::text), item.get("rank").and_then(Value::number));
    let (Some(text), Some(rank)) = (text, rank.filter(|rank| rank.is_finite())) else {
        return Err(Fault::Broken(format!("column `answers`: item {} lacks `answer` or `rank`", at + 1)));
    };
    let model = item.get("model").and_then(Value::text).map(str::to_owned);
    Ok(Response { model, rank: Some(rank), ..Response::new(answer(text)) })
}
