//! Conversations of which every assistant turn is trained: ids with a mask.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::Tokenizer;
use super::encode::check_prefix;
use super::template::{Chat, Marked, tools, turns};
use crate::DataError;
use crate::record::{Message, Source, Value};
use crate::tokens::TokenChat;

/// How the assistant's part of a rendered conversation is found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AssistantMask {
    /// By the template's `{% generation %}` tags.
    #[default]
    Tags,
    /// By rendering the conversation up to each assistant turn, with its opening, and up to the turn's end: what the latter
    /// has more is the assistant's. For templates without tags; they must only append.
    Prefix,
}

/// Tokenises a conversation and marks the tokens that the assistant wrote.
///
/// Every border of an assistant turn must fall between two tokens: the ids of the text before it must be those that the
/// whole conversation's ids begin with. BOS is by the tokenizer's [`crate::text::TokenPolicy`]; the conversation ends as
/// the template ends it.
///
/// ```
/// use tropism_data::record::{Message, Source};
/// use tropism_data::text::{AssistantMask, BuiltIn, Tokenizer, tokenize_chat};
/// let tokenizer = Tokenizer::train(["a b"].into_iter(), 259)?.with_built_in(BuiltIn::ChatMl)?;
/// let messages = [Message::new("user", "q"), Message::new("assistant", "a")];
/// let chat = tokenize_chat(&tokenizer, &Source::row("made up", 1), &messages, &[], AssistantMask::Tags)?;
/// let trained: Vec<u32> = chat.ids.iter().zip(&chat.mask).filter(|(_, on)| **on).map(|(id, _)| *id).collect();
/// assert_eq!(tokenizer.decode(&trained, false)?, "a<|im_end|>\n");
/// # Ok::<(), tropism_data::DataError>(())
/// ```
///
/// # Errors
/// A template that fails, has no tags where they are asked for, or does not only append where prefixes are; a token
/// that lies across a border; two BOS tokens; a conversation in which the assistant writes nothing.
pub fn tokenize_chat(
    tokenizer: &Tokenizer,
    at: &Source,
    messages: &[Message],
    offered: &[Value],
    mask: AssistantMask,
) -> Result<TokenChat, DataError> {
    let named = |error: DataError| match error {
        DataError::Template { .. } => DataError::row(at, error.to_string()),
        other => other,
    };
    let find = || match mask {
        AssistantMask::Tags => tokenizer.chat_template()?.render_marked(&whole(messages, offered), &tokenizer.shared),
        AssistantMask::Prefix => by_prefix(tokenizer, at, messages, offered),
    };
    let marked = tokenizer.on_deep_stack(find)?.map_err(named)?;
    let (mut ids, written) = tokenizer.with_worker(|worker| {
        let ids = tokenizer.encode_with(worker, &marked.text)?;
        let mut border = |end: usize| {
            let before = tokenizer.encode_with(worker, &marked.text[..end])?;
            tokenizer.check_boundary(0, &before, &ids).map_err(|merged| merged.into_error(at))?;
            Ok::<usize, DataError>(before.len())
        };
        let ranges: Result<Vec<Range<usize>>, DataError> =
            marked.written.iter().map(|range| Ok(border(range.start)?..border(range.end)?)).collect();
        Ok::<_, DataError>((ids, ranges?))
    })?;
    let mut on = vec![false; ids.len()];
    written.into_iter().for_each(|range| on[range].fill(true));
    let length = ids.len();
    tokenizer.ends.begin(&mut ids, None, true);
    tokenizer.ends.check_twice(at, &[], &ids)?;
    match ids.len() > length {
        true => on.insert(0, false),
        false => drop(on.drain(..length - ids.len())),
    }
    if !on.contains(&true) {
        return Err(DataError::row(at, "has no assistant turn to train on; leave it out"));
    }
    Ok(TokenChat { source: at.clone(), ids, mask: on })
}

fn whole(messages: &[Message], offered: &[Value]) -> Chat {
    Chat { turns: turns(messages), tools: tools(offered), open: false }
}

/// The rendered conversation, with assistant turns found by rendering its beginnings.
fn by_prefix(tokenizer: &Tokenizer, at: &Source, messages: &[Message], offered: &[Value]) -> Result<Marked, DataError> {
    let (template, all) = (tokenizer.chat_template()?, whole(messages, offered));
    let render = |count: usize, open: bool| {
        let chat = Chat { turns: all.turns[..count].to_vec(), tools: all.tools.clone(), open };
        template.render(&chat, &tokenizer.shared)
    };
    let text = render(messages.len(), false)?;
    let mut written = Vec::new();
    for (turn, _) in messages.iter().enumerate().filter(|(_, message)| message.role == "assistant") {
        let (before, with) = (render(turn, true)?, render(turn + 1, false)?);
        check_prefix(at, &before, &with)?;
        check_prefix(at, &with, &text)?;
        written.push(before.len()..with.len());
    }
    Ok(Marked { text, written })
}
