//! The types of data sets that TRL's trainers take, as text and as messages.
//!
//! Source: the list of formats in TRL's documentation. Differences: a `prompt` of text beside `chosen` and `rejected` of
//! messages is not used, since the messages hold the prompt themselves; prompts that text on both sides shares are
//! looked for only where asked ([`ImplicitPrompt`](crate::read::ImplicitPrompt)).

use super::conversation::before_last_answer;
use super::row::{Fault, Row, ranked};
use super::{Format, Spec, Want};
use crate::prompt::{divide, divide_text};
use crate::record::{Record, Response, Step, Text, Value};

pub(super) const SPECS: &[Spec] = &[
    Spec {
        optional: &[("tools", Want::List)],
        ..Spec::new(Format::LanguageModeling, &[("messages", Want::Chat)], messages)
    },
    Spec {
        optional: &[("tools", Want::List)],
        ..Spec::new(Format::LanguageModeling, &[("conversations", Want::Chat)], conversations)
    },
    Spec::new(Format::LanguageModeling, &[("text", Want::Text)], text),
    Spec {
        optional: &[("tools", Want::List)],
        ..Spec::new(Format::PromptOnly, &[("prompt", Want::TextOrChat)], prompt_only)
    },
    Spec {
        optional: &[("tools", Want::List)],
        before: &[Format::PromptOnly],
        ..Spec::new(
            Format::PromptCompletion,
            &[("prompt", Want::TextOrChat), ("completion", Want::TextOrChat)],
            prompt_completion,
        )
    },
    Spec {
        optional: &[("prompt", Want::TextOrChat), ("tools", Want::List)],
        before: &[Format::PromptOnly],
        ..Spec::new(Format::Preference, &[("chosen", Want::TextOrChat), ("rejected", Want::TextOrChat)], preference)
    },
    Spec {
        optional: &[("tools", Want::List)],
        before: &[Format::PromptOnly, Format::PromptCompletion],
        ..Spec::new(
            Format::Unpaired,
            &[("prompt", Want::TextOrChat), ("completion", Want::TextOrChat), ("label", Want::Flag)],
            unpaired,
        )
    },
    Spec {
        before: &[Format::PromptOnly],
        ..Spec::new(
            Format::Stepwise,
            &[("prompt", Want::Text), ("completions", Want::List), ("labels", Want::List)],
            stepwise,
        )
    },
];

fn text(row: &mut Row<'_>) -> Result<Record, Fault> {
    let text = row.text("text")?;
    let mut record = row.record(Text::empty());
    record.responses.push(Response::new(Text::Plain(text)));
    Ok(record)
}

fn messages(row: &mut Row<'_>) -> Result<Record, Fault> {
    conversation(row, "messages")
}

fn conversations(row: &mut Row<'_>) -> Result<Record, Fault> {
    conversation(row, "conversations")
}

fn conversation(row: &mut Row<'_>, column: &str) -> Result<Record, Fault> {
    let Text::Chat(messages) = row.content(column)? else {
        return Err(Fault::Broken(format!("column `{column}` holds text; messages were expected")));
    };
    let (prompt, answer) = before_last_answer(messages)?;
    let mut record = row.record(Text::Chat(prompt));
    record.tools = row.tools()?;
    record.responses.push(Response::new(Text::Chat(answer)));
    Ok(record)
}

fn prompt_only(row: &mut Row<'_>) -> Result<Record, Fault> {
    let prompt = row.content("prompt")?;
    let mut record = row.record(prompt);
    record.tools = row.tools()?;
    Ok(record)
}

fn prompt_completion(row: &mut Row<'_>) -> Result<Record, Fault> {
    let completion = row.content("completion")?;
    let mut record = prompt_only(row)?;
    record.responses.push(Response::new(completion));
    Ok(record)
}

fn unpaired(row: &mut Row<'_>) -> Result<Record, Fault> {
    let label = row.flag("label")?;
    let mut record = prompt_completion(row)?;
    record.responses[0].label = Some(label);
    Ok(record)
}

/// A chosen and a rejected side; also the start of formats that know more about both.
pub(super) fn preference(row: &mut Row<'_>) -> Result<Record, Fault> {
    let (chosen, rejected) = (row.content("chosen")?, row.content("rejected")?);
    let mut prompt = row.content_if_any("prompt")?;
    if matches!(prompt, Some(Text::Plain(_))) && chosen.is_chat() && !row.prompt_named {
        prompt = None;
        row.notes.push("prompt column of text not used beside messages");
    }
    let (prompt, chosen, rejected) = match (prompt, chosen, rejected) {
        (Some(prompt), chosen, rejected) => (prompt, chosen, rejected),
        (None, Text::Chat(chosen), Text::Chat(rejected)) => {
            let parts = divide(chosen, rejected)?;
            (Text::Chat(parts.prompt), Text::Chat(parts.chosen), Text::Chat(parts.rejected))
        }
        (None, Text::Plain(chosen), Text::Plain(rejected)) if row.share_prompt => {
            let [prompt, chosen, rejected] = divide_text(&chosen, &rejected)?.map(|part| Text::Plain(part.to_owned()));
            (prompt, chosen, rejected)
        }
        (None, chosen, rejected) => (Text::empty(), chosen, rejected),
    };
    let mut record = row.record(prompt);
    record.tools = row.tools()?;
    record.responses = ranked([chosen, rejected].map(Response::new), 0);
    Ok(record)
}

fn stepwise(row: &mut Row<'_>) -> Result<Record, Fault> {
    let (texts, labels) = (row.list("completions")?, row.list("labels")?);
    if texts.len() != labels.len() {
        let reason = format!("columns `completions` and `labels` have {} and {} items", texts.len(), labels.len());
        return Err(Fault::Broken(reason));
    }
    let step = |(text, label): (Value, Value)| {
        let Value::Text(text) = text else {
            return Err(Fault::Broken(format!("column `completions` has {} as an item; text was expected", text.kind())));
        };
        // ratings of -1, 0 and 1, as PRM800K has them: only 1 is right
        let (label, score) = match label {
            Value::Bool(label) => (label, None),
            other => match other.number() {
                Some(score) => (score == 1.0, Some(score)),
                None => {
                    let reason = format!("column `labels` has {} as an item; true or false was expected", other.kind());
                    return Err(Fault::Broken(reason));
                }
            },
        };
        Ok(Step { text, label: Some(label), score })
    };
    let steps = texts.into_iter().zip(labels).map(step).collect::<Result<Vec<_>, _>>()?;
    let texts: Vec<&str> = steps.iter().map(|step| step.text.as_str()).collect();
    let content = Text::Plain(texts.join("\n"));
    let mut record = prompt_only(row)?;
    record.responses.push(Response { steps, ..Response::new(content) });
    Ok(record)
}
