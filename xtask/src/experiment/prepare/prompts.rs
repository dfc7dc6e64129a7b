//! Prompts as tokens and as text: those that are answered after each stage, and those that stages sample from.
use super::records::Records;
use super::{Model, Prompt, online};
use crate::config::Experiment;
use crate::error::XtaskError;
use tropism_data::DataError;
use tropism_data::audit::Audit;
use tropism_data::record::{Message, Text};
use tropism_data::text::Tokenizer;
use tropism_trainer::PromptRow;

/// The prompts to answer: those that leave room for an answer, as many as asked for.
pub(super) fn prompts(
    config: &Experiment,
    tokenizer: &Tokenizer,
    records: &Records,
    model: &Model,
) -> Result<(Vec<Prompt>, Audit), XtaskError> {
    let e = &config.evaluation;
    let room = model.config().sizes.positions.saturating_sub(e.sampling.max_new_tokens);
    let (mut out, mut audit) = (vec![], Audit::default());
    for (i, question) in records.prompts.iter().enumerate() {
        if out.len() == e.prompts {
            break;
        }
        let tokens = encoded(tokenizer, &question.text)?;
        if !tokens.is_empty() && tokens.len() <= room {
            audit.keep();
            let (difficulty, truth) = (question.difficulty, question.truth.clone());
            let text = shown(&question.text);
            out.push(Prompt { tokens, text, question: question.text.clone(), difficulty, truth });
        } else {
            audit.drop_row("prompt leaves no room for an answer of max_new_tokens", i + 1);
        }
    }
    Ok((out, audit))
}

/// Tokens of a prompt, with the opening of an answer.
pub(super) fn encoded(tokenizer: &Tokenizer, text: &Text) -> Result<Vec<u32>, XtaskError> {
    let rendered = match text {
        Text::Plain(t) => t.clone(),
        Text::Chat(messages) => tokenizer.render(messages, true)?,
    };
    Ok(tokenizer.encode(&rendered)?)
}

/// The training prompts that leave room for the longest completion of any stage; none where no stage samples.
pub(super) fn questions(
    config: &Experiment,
    tokenizer: &Tokenizer,
    records: &Records,
    model: &Model,
) -> Result<(Vec<PromptRow>, Audit), XtaskError> {
    let (mut out, mut audit) = (vec![], Audit::default());
    let Some(longest) = online(config).map(|(rollout, _)| rollout.max_new_tokens).max() else { return Ok((out, audit)) };
    let room = model.config().sizes.positions.saturating_sub(longest);
    let most = config.data.max_length.map_or(room, |l| room.min(l));
    for question in &records.questions {
        let tokens = encoded(tokenizer, &question.text)?;
        if tokens.is_empty() || tokens.len() > most {
            audit.drop_row("prompt leaves no room for a completion of rollout.max_new_tokens", question.source.row);
            continue;
        }
        audit.keep();
        let (source, text) = (question.source.clone(), shown(&question.text));
        out.push(PromptRow::new(source, tokens, text, question.truth.clone()));
    }
    Ok((out, audit))
}

/// Text of an answer, without the tokens that end it. A model may have more entries than its tokenizer: ids that the
/// tokenizer lacks say nothing.
pub(crate) fn text_of(tokenizer: &Tokenizer, tokens: &[u32], stops: &[u32]) -> Result<String, DataError> {
    let known = |t: &u32| (*t as usize) < tokenizer.vocab_size();
    let kept: Vec<u32> = tokens.iter().copied().take_while(|t| !stops.contains(t)).filter(known).collect();
    tokenizer.decode(&kept, true)
}

/// A prompt as people read it.
pub(super) fn shown(text: &Text) -> String {
    match text {
        Text::Plain(t) => t.clone(),
        Text::Chat(messages) => match messages.as_slice() {
            [one] => one.content.clone(),
            all => all.iter().map(|m: &Message| format!("{}: {}", m.role, m.content)).collect::<Vec<_>>().join("\n"),
        },
    }
}
