//! Text and ids of prompts with completions.

use super::boundary::{Boundary, Merged};
use super::fast::{Fast, Stretch, Worker};
use super::template::{Chat, tools, turns};
use crate::DataError;
use crate::audit::Audit;
use crate::record::{Source, Text, Tools};
use crate::text::Tokenizer;

/// Characters shown on either side of a prefix error.
const SHOWN: usize = 40;

/// Why the audit leaves a row out whose tokens merge across the boundary.
pub(super) const MERGED: &str = "prompt and completion merge in a token";

/// A prompt with its completions.
pub(super) struct Record<'a> {
    pub(super) at: &'a Source,
    pub(super) prompt: &'a Text,
    pub(super) tools: &'a Tools,
    pub(super) sides: Vec<&'a Text>,
}

/// Ids of a [`Record`].
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) prompt: Vec<u32>,
    pub(super) sides: Vec<Vec<u32>>,
    pub(super) notes: Notes,
}

/// What there is to remark on a record.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Notes {
    joined: bool,
    special: bool,
}

impl Notes {
    /// Whether one of these texts writes a special token.
    pub(super) fn special(tokenizer: &Tokenizer, texts: [&Text; 2]) -> Self {
        Self { special: texts.into_iter().any(|text| writes_special(tokenizer, text)), ..Self::default() }
    }

    pub(super) fn write(self, audit: &mut Audit, row: usize) {
        let remarks = [
            ("completion joined where it merges with the prompt", self.joined),
            ("special token written in the text", self.special),
        ];
        for (remark, applies) in remarks {
            if applies {
                audit.note(remark, row);
            }
        }
    }
}

/// The prompt's text, and that of the prompt with each completion.
struct Texts {
    prompt: String,
    wholes: Vec<String>,
}

/// Ids of [`Texts`]; the wholes lack the first `shared` ids, which are surely the prompt's.
struct Ids {
    prompt: Vec<u32>,
    wholes: Vec<Vec<u32>>,
    shared: usize,
}

/// Encodes records together, on all cores; none for those that the boundary leaves out.
pub(super) fn encode(
    tokenizer: &Tokenizer,
    records: &[Record<'_>],
    boundary: Boundary,
) -> Result<Vec<Option<Encoded>>, DataError> {
    let encoded = tokenizer.share_out(records, |worker, record| encode_one(tokenizer, worker, record, boundary))?;
    // the first row's error, whichever worker was first
    encoded.into_iter().collect()
}

fn encode_one(
    tokenizer: &Tokenizer,
    worker: &mut Option<Worker>,
    record: &Record<'_>,
    boundary: Boundary,
) -> Result<Option<Encoded>, DataError> {
    let texts = texts_of(tokenizer, record)?;
    let Ids { mut prompt, wholes, shared } =
        ids_of(tokenizer, worker, &texts).map_err(|error| DataError::row(record.at, error.to_string()))?;
    let (mut sides, mut notes) = (Vec::with_capacity(wholes.len()), Notes::default());
    for (mut whole, text) in wholes.into_iter().zip(&texts.wholes) {
        match (tokenizer.check_boundary(shared, &prompt[shared..], &whole), boundary) {
            (Ok(()), _) => drop(whole.drain(..prompt.len() - shared)),
            (Err(merged), Boundary::Error) => return Err(merged.into_error(record.at)),
            (Err(_), Boundary::Drop) => return Ok(None),
            (Err(Merged { .. }), Boundary::Join) => {
                notes.joined = true;
                whole = tokenizer.encode_with(worker, &text[texts.prompt.len()..])?;
            }
        }
        sides.push(whole);
    }
    let chat = record.prompt.is_chat();
    let first = sides.first().and_then(|side| side.first());
    let follows = first.copied().filter(|first| sides.iter().all(|side| side.first() == Some(first)));
    tokenizer.ends.begin(&mut prompt, follows, chat);
    for side in &mut sides {
        tokenizer.ends.end(side, chat);
        tokenizer.ends.check_twice(record.at, &prompt, side)?;
    }
    notes.special =
        writes_special(tokenizer, record.prompt) || record.sides.iter().any(|side| writes_special(tokenizer, side));
    Ok(Some(Encoded { prompt, sides, notes }))
}

fn ids_of(tokenizer: &Tokenizer, worker: &mut Option<Worker>, texts: &Texts) -> Result<Ids, DataError> {
    if let (Some(fast), Some(worker)) = (&tokenizer.fast, worker.as_mut()) {
        return ids_together(tokenizer, fast, worker, texts);
    }
    let prompt = tokenizer.encode_by_library(&texts.prompt)?;
    let wholes = texts.wholes.iter().map(|text| tokenizer.encode_by_library(text)).collect::<Result<_, _>>()?;
    Ok(Ids { prompt, wholes, shared: 0 })
}

/// Ids of prompt and wholes, in which the stretches that all of them begin with are tokenised once.
///
/// A stretch between added tokens is tokenised by itself whatever surrounds it, so equal stretches at
/// the beginning have equal ids. The last of the prompt is usually not among them: the wholes go on in it.
fn ids_together(tokenizer: &Tokenizer, fast: &Fast, worker: &mut Worker, texts: &Texts) -> Result<Ids, DataError> {
    let divide = |text: &str| {
        let mut stretches = Vec::new();
        fast.stretches(text, &mut stretches);
        stretches
    };
    let of_prompt = divide(&texts.prompt);
    let of_wholes: Vec<Vec<Stretch>> = texts.wholes.iter().map(|text| divide(text)).collect();
    let same = |whole: &Vec<Stretch>| of_prompt.iter().zip(whole).take_while(|(a, b)| a == b).count();
    let common = of_wholes.iter().map(same).min().unwrap_or(0);
    let mut encode = |text: &str, stretches: &[Stretch], ids: &mut Vec<u32>| {
        let mut each = stretches.iter();
        let result = each.try_for_each(|&stretch| fast.encode_stretch(&tokenizer.inner, worker, text, stretch, ids));
        result.map_err(|error| tokenizer.failed(&*error))
    };
    let mut prompt = Vec::with_capacity(texts.prompt.len() / 3);
    encode(&texts.prompt, &of_prompt[..common], &mut prompt)?;
    let shared = prompt.len();
    encode(&texts.prompt, &of_prompt[common..], &mut prompt)?;
    let mut wholes = Vec::with_capacity(of_wholes.len());
    for (text, stretches) in texts.wholes.iter().zip(&of_wholes) {
        let start = stretches.get(common).map_or(text.len(), |stretch| stretch.start);
        let mut ids = Vec::with_capacity((text.len() - start) / 3);
        encode(text, &stretches[common..], &mut ids)?;
        wholes.push(ids);
    }
    Ok(Ids { prompt, wholes, shared })
}

fn writes_special(tokenizer: &Tokenizer, text: &Text) -> bool {
    match text {
        Text::Plain(text) => tokenizer.writes_special(text),
        Text::Chat(messages) => messages.iter().any(|message| {
            let further = || message.extras.iter().any(|(_, value)| tokenizer.writes_special(&value.to_string()));
            tokenizer.writes_special(&message.content) || further()
        }),
    }
}

fn texts_of(tokenizer: &Tokenizer, record: &Record<'_>) -> Result<Texts, DataError> {
    match record.prompt {
        Text::Plain(prompt) => {
            if tokenizer.ends.needs_eos() {
                let reason = "plain text needs a tokenizer with an EOS token, and this one names none; set eos_token in \
                              tokenizer_config.json, or `eos` of the token policy to `never`";
                return Err(DataError::row(record.at, reason));
            }
            let whole = |side: &&Text| match side {
                Text::Plain(side) => Ok([prompt.as_str(), side].concat()),
                Text::Chat(_) => Err(mixed(record.at)),
            };
            Ok(Texts { prompt: prompt.clone(), wholes: record.sides.iter().map(whole).collect::<Result<_, _>>()? })
        }
        Text::Chat(prompt) => {
            let template = tokenizer.chat_template()?;
            let mut chat = Chat { turns: turns(prompt), tools: tools(record.tools), open: true };
            let named = |error: DataError| DataError::row(record.at, error.to_string());
            let text = template.render(&chat, &tokenizer.shared).map_err(named)?;
            chat.open = false;
            let mut whole = |side: &&Text| {
                let Text::Chat(side) = side else {
                    return Err(mixed(record.at));
                };
                chat.turns.truncate(prompt.len());
                chat.turns.extend(turns(side));
                let whole = template.render(&chat, &tokenizer.shared).map_err(named)?;
                check_prefix(record.at, &text, &whole)?;
                Ok(whole)
            };
            let wholes = record.sides.iter().map(&mut whole).collect::<Result<_, _>>()?;
            Ok(Texts { prompt: text, wholes })
        }
    }
}

fn mixed(at: &Source) -> DataError {
    DataError::row(at, "plain text and messages mixed; use one kind for prompt and completions")
}

/// Checks that a rendered text begins with another.
pub(super) fn check_prefix(at: &Source, prompt: &str, whole: &str) -> Result<(), DataError> {
    if whole.starts_with(prompt) {
        return Ok(());
    }
    let position = prompt.chars().zip(whole.chars()).take_while(|(a, b)| a == b).count();
    let show = |text: &str| text.chars().skip(position).take(SHOWN).collect();
    Err(DataError::NotPrefix { at: at.clone(), position, prompt: show(prompt), conversation: show(whole) })
}
