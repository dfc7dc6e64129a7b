//! Samples of one policy with the scores of a reward model, as SimPO's recipe writes them.

use super::conversation::{answer, ask};
use super::row::{Fault, Row};
use super::{Format, Spec, Want};
use crate::record::{Record, Response, Value};

pub(super) const SPECS: &[Spec] = &[Spec {
    before: &[Format::PromptOnly, Format::Preference],
    ..Spec::new(
        Format::OnPolicy,
        &[("prompt", Want::Text), ("all_generated_responses", Want::List), ("all_rm_scores", Want::List)],
        read,
    )
}];

fn read(row: &mut Row<'_>) -> Result<Record, Fault> {
    let (texts, scores) = (row.list("all_generated_responses")?, row.list("all_rm_scores")?);
    if texts.len() != scores.len() {
        let reason =
            format!("columns `all_generated_responses` and `all_rm_scores` have {} and {} items", texts.len(), scores.len());
        return Err(Fault::Broken(reason));
    }
    let response = |(text, score): (&Value, &Value)| match (text.text(), score.number().filter(|score| score.is_finite())) {
        (Some(text), Some(score)) => Ok(Response { score: Some(score), ..Response::new(answer(text)) }),
        _ => Err(Fault::Broken("`all_generated_responses` need text and `all_rm_scores` finite numbers".to_owned())),
    };
    let responses = texts.iter().zip(&scores).map(response).collect::<Result<_, _>>()?;
    let prompt = ask(row.text("prompt")?);
    Ok(Record { responses, ..row.record(prompt) })
}
