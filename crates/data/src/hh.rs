//! Dialogues of the HH-RLHF data set: one string, turns marked by a blank line and the speaker's name.

use crate::prompt::divide;
use crate::record::{Message, Pair, Source, Text};

/// Marks with the role that they introduce.
const MARKS: [(&str, &str); 2] = [("\n\nHuman:", "user"), ("\n\nAssistant:", "assistant")];

/// True where the text begins with a human turn, as every dialogue of the data set does.
pub fn is_dialogue(text: &str) -> bool {
    text.starts_with(MARKS[0].0)
}

/// Parses a dialogue into messages of roles `user` and `assistant`, in order.
///
/// White space at both ends of a turn is dropped: the mark is followed by a space that belongs to
/// the notation, and chat templates bring their own spacing.
///
/// ```
/// let messages = tropism_data::hh::messages("\n\nHuman: Hi\n\nAssistant: Hello.").unwrap();
/// assert_eq!(messages[1].role, "assistant");
/// assert_eq!(messages[1].content, "Hello.");
/// assert!(tropism_data::hh::messages("Hello").is_none());
/// ```
///
/// Returns `None` for a text that does not begin with a human turn.
pub fn messages(text: &str) -> Option<Vec<Message>> {
    if !is_dialogue(text) {
        return None;
    }
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((role, after)) = strip_mark(rest) {
        let end = next_mark(after);
        found.push(Message::new(role, after[..end].trim()));
        rest = &after[end..];
    }
    Some(found)
}

fn strip_mark(text: &str) -> Option<(&'static str, &str)> {
    MARKS.iter().find_map(|(mark, role)| Some((*role, text.strip_prefix(mark)?)))
}

/// Offset of the next mark, or the text's length.
fn next_mark(text: &str) -> usize {
    // every line break is tried: marks may overlap a run of them
    text.match_indices('\n').map(|(at, _)| at).find(|&at| strip_mark(&text[at..]).is_some()).unwrap_or(text.len())
}

/// Turns two dialogues into a pair whose prompt is their longest common leading messages.
///
/// # Errors
/// The reason that the audit counts: not a dialogue, an empty completion, or a reason of [`divide`].
pub fn pair(source: Source, chosen: &str, rejected: &str) -> Result<Pair, &'static str> {
    let chosen = messages(chosen).ok_or("chosen is not a Human/Assistant dialogue")?;
    let rejected = messages(rejected).ok_or("rejected is not a Human/Assistant dialogue")?;
    let parts = divide(chosen, rejected)?;
    let pair = Pair {
        source,
        prompt: Text::Chat(parts.prompt),
        tools: Default::default(),
        chosen: Text::Chat(parts.chosen),
        rejected: Text::Chat(parts.rejected),
        numbers: Default::default(),
    };
    pair.problem().map_or(Ok(pair), Err)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn inner_blank_lines_stay() {
        let parsed = messages("\n\nHuman: a\n\nb\n\nHumane\n\nAssistant:\n\nAssistant: c\n\nHuman: d").unwrap();
        let roles: Vec<&str> = parsed.iter().map(|m| m.role.as_str()).collect();
        let contents: Vec<&str> = parsed.iter().map(|m| m.content.as_str()).collect();
        assert_eq!(roles, ["user", "assistant", "assistant", "user"]);
        assert_eq!(contents, ["a\n\nb\n\nHumane", "", "c", "d"]);
    }

    #[test]
    fn three_line_breaks_before_a_mark() {
        let parsed = messages("\n\nHuman: a\n\n\nAssistant: b").unwrap();
        assert_eq!(parsed.len(), 2);
        assert_eq!(parsed[0].content, "a");
    }

    #[test]
    fn pairs_and_reasons() {
        let source = Source::row("t", 1);
        let ask = "\n\nHuman: q";
        let ok = pair(source.clone(), &format!("{ask}\n\nAssistant: a"), &format!("{ask}\n\nAssistant: b")).unwrap();
        assert_eq!(ok.prompt, Text::Chat(vec![Message::new("user", "q")]));
        assert_eq!(ok.rejected, Text::Chat(vec![Message::new("assistant", "b")]));
        let empty = pair(source.clone(), &format!("{ask}\n\nAssistant:"), &format!("{ask}\n\nAssistant: b"));
        assert_eq!(empty, Err("empty chosen completion"));
        let plain = pair(source.clone(), ask, "b");
        assert_eq!(plain, Err("rejected is not a Human/Assistant dialogue"));
        let same = pair(source, ask, ask);
        assert_eq!(same, Err("identical sides"));
    }

    proptest! {
        #[test]
        fn written_dialogues_are_read_back(turns in prop::collection::vec("[a-z][a-z\n]{0,8}[a-z]", 1..6)) {
            let mut text = String::new();
            for (i, turn) in turns.iter().enumerate() {
                text += MARKS[i % 2].0;
                text += " ";
                text += turn;
            }
            let parsed = messages(&text).unwrap();
            let contents: Vec<String> = parsed.into_iter().map(|m| m.content).collect();
            prop_assert_eq!(contents, turns);
        }
    }
}
