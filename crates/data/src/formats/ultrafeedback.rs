//! UltraFeedback, as published (four completions rated on four aspects) and as pairs.
//!
//! Source: openbmb/UltraFeedback; ratings are text there and may be `N/A`. HuggingFaceH4/ultrafeedback_binarized.
//! The first release gave 2,628 completions the overall score 10 by mistake; the present files are corrected, so nothing is
//! repaired here.

use super::conversation::{answer, ask};
use super::row::{Fault, Row};
use super::{Format, Spec, Want, trl};
use crate::record::{Message, Record, Response, Text, Value};

pub(super) const SPECS: &[Spec] = &[
    Spec {
        optional: &[("source", Want::Text)],
        ..Spec::new(Format::Ultrafeedback, &[("instruction", Want::Text), ("completions", Want::List)], original)
    },
    Spec {
        optional: &[("prompt_id", Want::Scalar)],
        before: &[Format::Preference, Format::PromptOnly, Format::LanguageModeling],
        ..Spec::new(
            Format::UltrafeedbackBinarized,
            &[
                ("prompt", Want::Text),
                ("chosen", Want::Chat),
                ("rejected", Want::Chat),
                ("score_chosen", Want::Number),
                ("score_rejected", Want::Number),
            ],
            binarized,
        )
    },
];

const ASPECTS: [&str; 4] = ["instruction_following", "honesty", "truthfulness", "helpfulness"];

fn original(row: &mut Row<'_>) -> Result<Record, Fault> {
    let (instruction, completions) = (row.text("instruction")?, row.list("completions")?);
    let mut record = row.record(ask(instruction));
    record.origin = row.text_if_any("source")?;
    for (at, completion) in completions.iter().enumerate() {
        record.responses.push(response(at, completion)?);
    }
    Ok(record)
}

fn response(at: usize, completion: &Value) -> Result<Response, Fault> {
    let Some(text) = completion.get("response").and_then(Value::text) else {
        return Err(Fault::Broken(format!("column `completions`: item {} lacks the text `response`", at + 1)));
    };
    let mut response = Response::new(answer(text));
    response.model = completion.get("model").and_then(Value::text).map(str::to_owned);
    response.score = completion.get("overall_score").and_then(rating);
    let fine = completion.get("fine-grained_score").and_then(rating);
    response.aspects.extend(fine.map(|score| ("fine-grained_score".to_owned(), score)));
    for aspect in ASPECTS {
        let found = completion.get("annotations").and_then(|all| all.get(aspect)).and_then(|one| one.get("Rating"));
        response.aspects.extend(found.and_then(rating).map(|score| (aspect.to_owned(), score)));
    }
    for key in ["critique", "principle", "custom_system_prompt"] {
        let found = completion.get(key).filter(|value| !value.is_null()).cloned();
        response.extras.extend(found.map(|value| (key.to_owned(), value)));
    }
    Ok(response)
}

/// A rating written as a number or as text; `N/A` and anything else is none.
fn rating(value: &Value) -> Option<f64> {
    let number = value.number().or_else(|| value.text().and_then(|text| text.trim().parse().ok()));
    number.filter(|number| number.is_finite())
}

fn binarized(row: &mut Row<'_>) -> Result<Record, Fault> {
    let scores = [row.number_if_any("score_chosen")?, row.number_if_any("score_rejected")?];
    let (prompt, id) = (row.take("prompt"), row.text_if_any("prompt_id")?);
    let mut record = trl::preference(row)?;
    record.id = id;
    for (response, score) in record.responses.iter_mut().zip(scores) {
        response.score = score;
    }
    check_prompt(&record, prompt.text().unwrap_or_default())?;
    Ok(record)
}

/// The column `prompt` repeats the first user turn; where it does not, the two columns belong to different rows.
fn check_prompt(record: &Record, prompt: &str) -> Result<(), Fault> {
    let Text::Chat(messages) = &record.prompt else {
        return Ok(());
    };
    let same = |message: &Message| message.role == "user" && message.content.trim() == prompt.trim();
    match messages.iter().any(same) {
        true => Ok(()),
        false => Err(Fault::from("prompt column differs from the messages")),
    }
}
