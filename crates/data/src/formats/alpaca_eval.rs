//! AlpacaEval: lists of models' responses with the judge's preference, and the judge's own annotations of two outputs.
//!
//! A preference in the lists lies in [0, 1] and is the probability that the judge prefers the response to the
//! baseline's; in the annotations it lies in [1, 2] and leans to the output that it is nearer to, 1.5 being a tie.

use super::conversation::{answer, ask};
use super::row::{Fault, Row};
use super::{Format, Spec, Want};
use crate::record::{Record, Response, Value};

pub(super) const SPECS: &[Spec] = &[
    Spec {
        optional: &[("index", Want::Scalar), ("dataset", Want::Text)],
        ..Spec::new(Format::AlpacaEval, &[("instruction", Want::Text), ("responses", Want::List)], list)
    },
    Spec {
        optional: &[("dataset", Want::Text), ("generator_1", Want::Text), ("generator_2", Want::Text)],
        ..Spec::new(
            Format::AlpacaEvalAnnotations,
            &[("instruction", Want::Text), ("output_1", Want::Text), ("output_2", Want::Text), ("preference", Want::Number)],
            annotation,
        )
    },
];

fn start(row: &mut Row<'_>) -> Result<Record, Fault> {
    let prompt = ask(row.text("instruction")?);
    let mut record = row.record(prompt);
    record.origin = row.text_if_any("dataset")?;
    Ok(record)
}

fn list(row: &mut Row<'_>) -> Result<Record, Fault> {
    let mut record = start(row)?;
    record.id = row.text_if_any("index")?;
    for (at, item) in row.list("responses")?.iter().enumerate() {
        let Some(text) = item.get("text").and_then(Value::text) else {
            return Err(Fault::Broken(format!("column `responses`: item {} lacks its `text`", at + 1)));
        };
        let score = item.get("preference").and_then(Value::number);
        if score.is_some_and(|score| !(0.0..=1.0).contains(&score)) {
            return Err(Fault::Broken(format!("column `responses`: item {} has a preference outside [0, 1]", at + 1)));
        }
        let model = item.get("model").and_then(Value::text).map(str::to_owned);
        record.responses.push(Response { model, score, ..Response::new(answer(text)) });
    }
    Ok(record)
}

fn annotation(row: &mut Row<'_>) -> Result<Record, Fault> {
    let Some(preference) = row.number_if_any("preference")? else {
        return Err(Fault::from("no preference"));
    };
    if !(1.0..=2.0).contains(&preference) {
        return Err(Fault::Broken(format!("column `preference` holds {preference}; a number from 1 to 2 was expected")));
    }
    let ranks = match preference {
        p if p < 1.5 => [1.0, 2.0],
        p if p > 1.5 => [2.0, 1.0],
        _ => [1.0, 1.0],
    };
    let scores = [2.0 - preference, preference - 1.0];
    let mut record = start(row)?;
    for (at, (rank, score)) in ranks.into_iter().zip(scores).enumerate() {
        let text = row.text(&format!("output_{}", at + 1))?;
        let model = row.text_if_any(&format!("generator_{}", at + 1))?;
        record.responses.push(Response { model, score: Some(score), rank: Some(rank), ..Response::new(answer(text)) });
    }
    Ok(record)
}
