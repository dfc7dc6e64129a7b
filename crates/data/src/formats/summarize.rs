//! OpenAI's summarize-from-feedback: comparisons of two summaries, and ratings of one by axis.
//!
//! Prompts are text in the shape that the paper's models saw, ending in `TL;DR:`; summaries keep a leading space, as TRL's
//! conversion has it. Blank lines within a post are closed up.

use super::row::{Fault, Row, ranked};
use super::{Format, Spec, Want};
use crate::record::{Record, Response, Text, Value};

pub(super) const SPECS: &[Spec] = &[
    Spec {
        optional: &[("worker", Want::Scalar), ("batch", Want::Scalar)],
        ..Spec::new(
            Format::SummarizeFromFeedback,
            &[("info", Want::Object), ("summaries", Want::List), ("choice", Want::Number)],
            comparison,
        )
    },
    Spec {
        optional: &[("worker", Want::Scalar), ("batch", Want::Scalar)],
        ..Spec::new(Format::SummarizeFromFeedbackAxis, &[("info", Want::Object), ("summary", Want::Object)], axis)
    },
];

fn comparison(row: &mut Row<'_>) -> Result<Record, Fault> {
    let choice = row.choice("choice", 0..=1)? as usize;
    let summaries = row.list("summaries")?;
    let [first, second] = &summaries[..] else {
        return Err(Fault::Broken(format!("column `summaries` has {} items; 2 were expected", summaries.len())));
    };
    let responses = [summary(first)?, summary(second)?];
    let mut record = start(row)?;
    record.responses = ranked(responses, choice);
    Ok(record)
}

fn axis(row: &mut Row<'_>) -> Result<Record, Fault> {
    let rated = row.object("summary")?;
    let mut response = summary(&rated)?;
    for (name, value) in rated.get("axes").and_then(Value::entries).unwrap_or_default() {
        response.aspects.extend(value.number().filter(|score| score.is_finite()).map(|score| (name.clone(), score)));
    }
    response.score = response.aspects.get("overall").copied();
    let mut record = start(row)?;
    record.responses.push(response);
    Ok(record)
}

fn start(row: &mut Row<'_>) -> Result<Record, Fault> {
    let info = row.object("info")?;
    let prompt = prompt(&info)?;
    let mut record = row.record(Text::Plain(prompt));
    record.id = info.get("id").and_then(Value::text).map(str::to_owned);
    record.origin = row.text_if_any("batch")?;
    Ok(record)
}

fn summary(item: &Value) -> Result<Response, Fault> {
    let Some(text) = item.get("text").and_then(Value::text) else {
        return Err(Fault::Broken("a summary lacks its `text`".to_owned()));
    };
    // one space between the prompt's colon and the summary
    let text = format!(" {}", text.trim_start());
    let model = item.get("policy").and_then(Value::text).map(str::to_owned);
    Ok(Response { model, ..Response::new(Text::Plain(text)) })
}

fn prompt(info: &Value) -> Result<String, Fault> {
    let part = |name: &str| info.get(name).and_then(Value::text);
    let title = part("title").unwrap_or_default();
    if let Some(article) = part("article") {
        return Ok(format!("TITLE: {title}\n\n{article}\n\nTL;DR:"));
    }
    let Some(post) = part("post") else {
        return Err(Fault::Broken("column `info` has neither `post` nor `article`".to_owned()));
    };
    let subreddit = part("subreddit").unwrap_or_default();
    let post = post.replace("\n\n", "\n");
    Ok(format!("SUBREDDIT: r/{subreddit}\n\nTITLE: {title}\n\nPOST: {post}\n\nTL;DR:"))
}
