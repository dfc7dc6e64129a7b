//! PKU-SafeRLHF (two responses, the more helpful and the safer one named apart) and BeaverTails (single responses).

use super::conversation::{answer, ask};
use super::row::{Fault, Row, ranked};
use super::{Format, Spec, Want};
use crate::record::{Record, Response};

pub(super) const SPECS: &[Spec] = &[
    Spec {
        optional: &[
            ("prompt_source", Want::Text),
            ("response_0_source", Want::Text),
            ("response_1_source", Want::Text),
            ("response_0_severity_level", Want::Number),
            ("response_1_severity_level", Want::Number),
        ],
        before: &[Format::PromptOnly],
        ..Spec::new(
            Format::SafeRlhf,
            &[
                ("prompt", Want::Text),
                ("response_0", Want::Text),
                ("response_1", Want::Text),
                ("is_response_0_safe", Want::Flag),
                ("is_response_1_safe", Want::Flag),
                ("better_response_id", Want::Number),
                ("safer_response_id", Want::Number),
            ],
            safe_rlhf,
        )
    },
    Spec {
        before: &[Format::PromptOnly],
        ..Spec::new(
            Format::Beavertails,
            &[("prompt", Want::Text), ("response", Want::Text), ("category", Want::Object), ("is_safe", Want::Flag)],
            beavertails,
        )
    },
];

/// Rank and score follow the more helpful response; the aspects `better`, `safer` and `safe` are 1 or 0, so that
/// either preference, or both as two objectives, can be built from.
fn safe_rlhf(row: &mut Row<'_>) -> Result<Record, Fault> {
    let better = row.choice("better_response_id", 0..=1)? as usize;
    let safer = row.choice("safer_response_id", 0..=1)? as usize;
    let mut responses = [Response::new(answer(row.text("response_0")?)), Response::new(answer(row.text("response_1")?))];
    for (at, response) in responses.iter_mut().enumerate() {
        let mut aspect = |name: &str, value: f64| response.aspects.insert(name.to_owned(), value);
        aspect("better", f64::from(better == at));
        aspect("safer", f64::from(safer == at));
        let safe = row.flag(&format!("is_response_{at}_safe"))?;
        aspect("safe", f64::from(safe));
        if let Some(level) = row.number_if_any(&format!("response_{at}_severity_level"))? {
            aspect("severity_level", level);
        }
        response.model = row.text_if_any(&format!("response_{at}_source"))?;
        response.label = Some(safe);
    }
    let prompt = ask(row.text("prompt")?);
    let mut record = row.record(prompt);
    record.origin = row.text_if_any("prompt_source")?;
    record.responses = ranked(responses, better);
    Ok(record)
}

fn beavertails(row: &mut Row<'_>) -> Result<Record, Fault> {
    let mut response = Response::new(answer(row.text("response")?));
    response.label = Some(row.flag("is_safe")?);
    let category = row.object("category")?;
    for (name, value) in category.entries().unwrap_or_default() {
        response.aspects.extend(value.flag().map(|harm| (name.clone(), f64::from(harm))));
    }
    let prompt = ask(row.text("prompt")?);
    let mut record = row.record(prompt);
    record.responses.push(response);
    Ok(record)
}
