//! Preference records before tokenisation.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks: `system`, `user`, `assistant` or whatever the chat template knows.
    pub role: String,
    /// What is said.
    pub content: String,
}

impl Message {
    /// A message of the given role.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: content.into() }
    }
}

/// A prompt or one side of a pair: plain text, or a list of messages for a chat template.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Text {
    /// Text taken as it stands.
    Plain(String),
    /// Messages, rendered by the tokenizer's chat template.
    Chat(Vec<Message>),
}

impl Text {
    /// The empty plain text.
    pub fn empty() -> Self {
        Self::Plain(String::new())
    }

    /// True where there is nothing to read: no characters, or no message that has any.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Plain(text) => text.is_empty(),
            Self::Chat(messages) => messages.iter().all(|message| message.content.is_empty()),
        }
    }

    /// True for a list of messages.
    pub fn is_chat(&self) -> bool {
        matches!(self, Self::Chat(_))
    }

    /// An unambiguous form for comparing and hashing: a JSON string, or a JSON list of `[role, content]`.
    pub fn key(&self) -> String {
        let value = match self {
            Self::Plain(text) => serde_json::Value::from(text.as_str()),
            Self::Chat(messages) => {
                messages.iter().map(|message| serde_json::json!([message.role, message.content])).collect()
            }
        };
        value.to_string()
    }
}

/// Where a record came from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    /// The file, or a name for generated records.
    pub file: Arc<str>,
    /// Data row, from 1; blank lines do not count.
    pub row: usize,
    /// Line of a line-based file, from 1; blank lines count.
    pub line: Option<usize>,
}

impl Source {
    /// A row of something without lines.
    pub fn row(file: impl Into<Arc<str>>, row: usize) -> Self {
        Self { file: file.into(), row, line: None }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}, line {line}", self.file),
            None => write!(f, "{}, row {}", self.file, self.row),
        }
    }
}

/// Numbers of a row by the name of their column, such as the gap between two scores.
pub type Numbers = BTreeMap<String, f64>;

/// A prompt with a preferred and a dispreferred completion.
///
/// ```
/// use tropism_data::record::{Pair, Source, Text};
/// let pair = Pair {
///     source: Source::row("made up", 1),
///     prompt: Text::Plain("2 + 2 =".into()),
///     chosen: Text::Plain(" 4".into()),
///     rejected: Text::Plain(" 5".into()),
///     numbers: Default::default(),
/// };
/// assert_eq!(pair.problem(), None);
/// assert_eq!(pair.chosen_sample().completion, Text::Plain(" 4".into()));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// Where the pair came from.
    pub source: Source,
    /// What both completions answer; may be the empty plain text.
    pub prompt: Text,
    /// The preferred completion.
    pub chosen: Text,
    /// The dispreferred completion.
    pub rejected: Text,
    /// Further columns that a loss reads.
    pub numbers: Numbers,
}

/// A prompt with one completion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Where the sample came from.
    pub source: Source,
    /// What the completion answers; may be the empty plain text.
    pub prompt: Text,
    /// The completion.
    pub completion: Text,
}

impl Pair {
    /// The chosen side alone.
    pub fn chosen_sample(&self) -> Sample {
        self.sample(&self.chosen)
    }

    /// The rejected side alone.
    pub fn rejected_sample(&self) -> Sample {
        self.sample(&self.rejected)
    }

    fn sample(&self, side: &Text) -> Sample {
        Sample { source: self.source.clone(), prompt: self.prompt.clone(), completion: side.clone() }
    }

    /// What [`crate::split::split_by_prompt`] keeps together: the prompt, or where there is none the chosen side.
    pub fn prompt_key(&self) -> String {
        let key = if self.prompt.is_empty() { &self.chosen } else { &self.prompt };
        key.key()
    }

    /// Why the pair cannot teach anything, as the reason that the audit counts; `None` for a sound pair.
    ///
    /// Reasons: an empty completion, identical sides, a chat prompt without content, and sides that are
    /// partly plain text and partly messages.
    pub fn problem(&self) -> Option<&'static str> {
        let chat = self.chosen.is_chat();
        if self.rejected.is_chat() != chat || (self.prompt.is_chat() != chat && !self.prompt.is_empty()) {
            return Some("plain text and messages mixed");
        }
        if self.chosen.is_empty() {
            return Some("empty chosen completion");
        }
        if self.rejected.is_empty() {
            return Some("empty rejected completion");
        }
        if chat && self.prompt.is_empty() {
            return Some("empty prompt");
        }
        (self.chosen == self.rejected).then_some("identical sides")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn plain(prompt: &str, chosen: &str, rejected: &str) -> Pair {
        Pair {
            source: Source::row("t", 1),
            prompt: Text::Plain(prompt.into()),
            chosen: Text::Plain(chosen.into()),
            rejected: Text::Plain(rejected.into()),
            numbers: Numbers::new(),
        }
    }

    #[test]
    fn problems_are_named() {
        assert_eq!(plain("p", "a", "b").problem(), None);
        assert_eq!(plain("", "a", "b").problem(), None);
        assert_eq!(plain("p", "", "b").problem(), Some("empty chosen completion"));
        assert_eq!(plain("p", "a", "").problem(), Some("empty rejected completion"));
        assert_eq!(plain("p", "a", "a").problem(), Some("identical sides"));
        let mut mixed = plain("p", "a", "b");
        mixed.rejected = Text::Chat(vec![Message::new("assistant", "b")]);
        assert_eq!(mixed.problem(), Some("plain text and messages mixed"));
        mixed.chosen = Text::Chat(vec![Message::new("assistant", "c")]);
        assert_eq!(mixed.problem(), Some("plain text and messages mixed"));
        mixed.prompt = Text::Chat(vec![]);
        assert_eq!(mixed.problem(), Some("empty prompt"));
        mixed.prompt = Text::Chat(vec![Message::new("user", "q")]);
        assert_eq!(mixed.problem(), None);
    }

    #[test]
    fn keys_tell_texts_apart() {
        let texts = [
            Text::Plain("[[\"user\",\"a\"]]".into()),
            Text::Chat(vec![Message::new("user", "a")]),
            Text::Chat(vec![Message::new("user", ""), Message::new("user", "a")]),
            Text::Plain(String::new()),
            Text::Chat(vec![]),
        ];
        let keys: std::collections::BTreeSet<String> = texts.iter().map(Text::key).collect();
        assert_eq!(keys.len(), texts.len());
    }

    #[test]
    fn text_is_untagged_in_json() {
        let json = r#"["x",[{"role":"user","content":"y"}]]"#;
        let texts: Vec<Text> = serde_json::from_str(json).unwrap();
        assert_eq!(texts[1], Text::Chat(vec![Message::new("user", "y")]));
        assert_eq!(serde_json::to_string(&texts).unwrap(), json);
    }

    #[test]
    fn sources_name_line_or_row() {
        assert_eq!(Source::row("a.parquet", 3).to_string(), "a.parquet, row 3");
        let source = Source { file: "a.jsonl".into(), row: 3, line: Some(7) };
        assert_eq!(source.to_string(), "a.jsonl, line 7");
    }
}
