//! Text and ids of prompts with one or two completions.

use crate::DataError;
use crate::audit::Audit;
use crate::record::{Source, Text};
use crate::text::Tokenizer;

/// Characters shown on either side of a prefix error.
const SHOWN: usize = 40;

/// A prompt with its completions.
pub(super) struct Record<'a, const N: usize> {
    pub(super) at: &'a Source,
    pub(super) prompt: &'a Text,
    pub(super) sides: [&'a Text; N],
}

/// Ids of a [`Record`].
pub(super) struct Encoded<const N: usize> {
    pub(super) prompt: Vec<u32>,
    pub(super) sides: [Vec<u32>; N],
    pub(super) notes: Notes,
}

/// What there is to remark on a record.
#[derive(Clone, Copy)]
pub(super) struct Notes {
    merged: bool,
    special: bool,
}

impl Notes {
    pub(super) fn write(self, audit: &mut Audit, row: usize) {
        for (remark, applies) in [("boundary merges", self.merged), ("special token written in the text", self.special)] {
            if applies {
                audit.note(remark, row);
            }
        }
    }
}

/// Encodes records together, on all cores.
pub(super) fn encode<const N: usize>(
    tokenizer: &Tokenizer,
    records: &[Record<'_, N>],
) -> Result<Vec<Encoded<N>>, DataError> {
    let mut texts = Vec::with_capacity((1 + N) * records.len());
    for record in records {
        texts.extend(texts_of(tokenizer, record.at, record.prompt, &record.sides)?);
    }
    let mut ids = tokenizer.encode_batch(&texts)?.into_iter();
    let mut next = || ids.next().unwrap_or_default();
    records
        .iter()
        .map(|record| {
            let (prompt, mut merged) = (next(), false);
            let sides = std::array::from_fn(|_| {
                let whole = next();
                merged |= !whole.starts_with(&prompt);
                after(&prompt, whole)
            });
            check_bos(tokenizer, record.at, &prompt, &sides)?;
            let special =
                writes_special(tokenizer, record.prompt) || record.sides.iter().any(|side| writes_special(tokenizer, side));
            Ok(Encoded { prompt, sides, notes: Notes { merged, special } })
        })
        .collect()
}

/// Ids of the whole that follow as many as the prompt has.
fn after(prompt: &[u32], mut whole: Vec<u32>) -> Vec<u32> {
    whole.drain(..prompt.len().min(whole.len()));
    whole
}

fn writes_special(tokenizer: &Tokenizer, text: &Text) -> bool {
    match text {
        Text::Plain(text) => tokenizer.writes_special(text),
        Text::Chat(messages) => messages.iter().any(|message| tokenizer.writes_special(&message.content)),
    }
}

/// Two BOS tokens at the beginning: a template and a text that both write it.
fn check_bos(tokenizer: &Tokenizer, at: &Source, prompt: &[u32], sides: &[Vec<u32>]) -> Result<(), DataError> {
    let Some(bos) = tokenizer.bos_id() else {
        return Ok(());
    };
    let twice = sides.iter().any(|side| {
        let mut ids = prompt.iter().chain(side);
        ids.next() == Some(&bos) && ids.next() == Some(&bos)
    });
    if twice {
        let reason = "begins with two BOS tokens; take the one out of the text that the chat template adds";
        return Err(DataError::row(at, reason));
    }
    Ok(())
}

/// The text of the prompt, then of the prompt with each completion.
fn texts_of(tokenizer: &Tokenizer, at: &Source, prompt: &Text, sides: &[&Text]) -> Result<Vec<String>, DataError> {
    let mut texts = Vec::with_capacity(1 + sides.len());
    match prompt {
        Text::Plain(prompt) => {
            texts.push(prompt.clone());
            for side in sides {
                let Text::Plain(side) = side else {
                    return Err(mixed(at));
                };
                texts.push(plain_whole(tokenizer, at, prompt, side)?);
            }
        }
        Text::Chat(prompt) => {
            let rendered = tokenizer.render(prompt, true).map_err(|error| named(at, error))?;
            for side in sides {
                let Text::Chat(side) = side else {
                    return Err(mixed(at));
                };
                let whole = tokenizer.render(&[&prompt[..], side].concat(), false).map_err(|error| named(at, error))?;
                check_prefix(at, &rendered, &whole)?;
                texts.push(whole);
            }
            texts.insert(0, rendered);
        }
    }
    Ok(texts)
}

fn plain_whole(tokenizer: &Tokenizer, at: &Source, prompt: &str, side: &str) -> Result<String, DataError> {
    let Some(eos) = tokenizer.eos_token() else {
        let reason = "plain text needs a tokenizer with an EOS token, and this one names none; set eos_token in \
                      tokenizer_config.json";
        return Err(DataError::row(at, reason));
    };
    let end = if side.ends_with(eos) { "" } else { eos };
    Ok([prompt, side, end].concat())
}

fn mixed(at: &Source) -> DataError {
    DataError::row(at, "plain text and messages mixed; use one kind for prompt and completions")
}

/// A rendering error with its row.
fn named(at: &Source, error: DataError) -> DataError {
    DataError::row(at, error.to_string())
}

fn check_prefix(at: &Source, prompt: &str, whole: &str) -> Result<(), DataError> {
    if whole.starts_with(prompt) {
        return Ok(());
    }
    let position = prompt.chars().zip(whole.chars()).take_while(|(a, b)| a == b).count();
    let show = |text: &str| text.chars().skip(position).take(SHOWN).collect();
    Err(DataError::NotPrefix { at: at.clone(), position, prompt: show(prompt), conversation: show(whole) })
}
