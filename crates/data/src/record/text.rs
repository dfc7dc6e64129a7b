//! Text, plain or as messages.

use serde::{Deserialize, Serialize};

use super::{Message, Value};

/// A prompt or a response: plain text, or a list of messages for a chat template.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

    /// True where there is nothing to read: no characters, or no message that has any or calls a tool.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Plain(text) => text.is_empty(),
            Self::Chat(messages) => messages.iter().all(Message::is_empty),
        }
    }

    /// True for a list of messages.
    pub fn is_chat(&self) -> bool {
        matches!(self, Self::Chat(_))
    }

    /// An unambiguous form for comparing and hashing: a JSON string, or a JSON list of `[role, content]`, with an
    /// object of the further keys as third item where a message has any.
    pub fn key(&self) -> String {
        let value = match self {
            Self::Plain(text) => Value::from(text.as_str()),
            Self::Chat(messages) => Value::List(messages.iter().map(message_key).collect()),
        };
        value.to_string()
    }

    /// What is said, without roles: the text, or the contents of all messages, each on lines of its own.
    pub fn words(&self) -> String {
        match self {
            Self::Plain(text) => text.clone(),
            Self::Chat(messages) => {
                let contents: Vec<&str> = messages.iter().map(|message| message.content.as_str()).collect();
                contents.join("\n")
            }
        }
    }
}

fn message_key(message: &Message) -> Value {
    let mut items = vec![Value::from(message.role.as_str()), Value::from(message.content.as_str())];
    if !message.extras.is_empty() {
        items.push(Value::Object(message.extras.clone()));
    }
    Value::List(items)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn keys_tell_texts_apart() {
        let mut called = Message::new("user", "a");
        called.extras.push(("name".to_owned(), Value::from("b")));
        let texts = [
            Text::Plain("[[\"user\",\"a\"]]".into()),
            Text::Chat(vec![Message::new("user", "a")]),
            Text::Chat(vec![called]),
            Text::Chat(vec![Message::new("user", ""), Message::new("user", "a")]),
            Text::Plain(String::new()),
            Text::Chat(vec![]),
        ];
        let keys: std::collections::BTreeSet<String> = texts.iter().map(Text::key).collect();
        assert_eq!(keys.len(), texts.len());
        assert_eq!(texts[1].key(), r#"[["user","a"]]"#);
    }

    #[test]
    fn text_is_untagged_in_json() {
        let json = r#"["x",[{"role":"user","content":"y"}]]"#;
        let texts: Vec<Text> = serde_json::from_str(json).unwrap();
        assert_eq!(texts[1], Text::Chat(vec![Message::new("user", "y")]));
        assert_eq!(texts[1].words(), "y");
        assert_eq!(serde_json::to_string(&texts).unwrap(), json);
    }
}
