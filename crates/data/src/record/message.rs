//! One turn of a conversation.

use serde::{Deserialize, Serialize};

use super::Value;

/// One turn of a conversation.
///
/// Keys other than role and content come along and are written out again, in their order: the `tool_calls` of an
/// assistant turn, the `name` and `tool_call_id` of a tool's answer, `reasoning_content` and the like.
///
/// ```
/// use tropism_data::record::Message;
/// let json = r#"{"role":"assistant","content":"","tool_calls":[{"function":{"name":"add","arguments":{"b":1,"a":2}}}]}"#;
/// let message: Message = serde_json::from_str(json).unwrap();
/// assert_eq!(message.extra("tool_calls").and_then(|calls| calls.list()).map(|calls| calls.len()), Some(1));
/// assert_eq!(serde_json::to_string(&message).unwrap(), json);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub struct Message {
    /// Who speaks: `system`, `user`, `assistant`, `tool` or whatever the chat template knows.
    pub role: String,
    /// What is said; empty for a turn that only calls tools.
    pub content: String,
    /// Further keys with their values.
    pub extras: Vec<(String, Value)>,
}

impl Message {
    /// A message of the given role, without further keys.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: content.into(), extras: Vec::new() }
    }

    /// The value under a further key.
    pub fn extra(&self, key: &str) -> Option<&Value> {
        self.extras.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// True where there is nothing to read: no content and no further key.
    pub fn is_empty(&self) -> bool {
        self.content.is_empty() && self.extras.is_empty()
    }
}

/// Reads `{role, content}` with further keys.
///
/// Content may be a list of parts `{type: "text", text}`, which are joined, and may be null or missing beside another
/// key such as `tool_calls`. Keys that hold null are left out.
impl TryFrom<Value> for Message {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let Value::Object(entries) = value else {
            return Err(format!("{} where a message with `role` and `content` was expected", value.kind()));
        };
        let (mut role, mut content, mut extras) = (None, None, Vec::new());
        for (key, value) in entries {
            match (key.as_str(), value) {
                (_, Value::Null) => {}
                ("role", Value::Text(text)) => role = Some(text),
                ("content", value) => content = Some(text_of(value)?),
                ("role", value) => return Err(format!("a message whose `role` is {}; text was expected", value.kind())),
                (_, value) => extras.push((key, value)),
            }
        }
        let role = role.ok_or("a message without `role`")?;
        match content {
            None if extras.is_empty() => Err("a message without `content`".to_owned()),
            content => Ok(Self { role, content: content.unwrap_or_default(), extras }),
        }
    }
}

/// Text of a message's content: text, or the texts of its parts.
fn text_of(value: Value) -> Result<String, String> {
    let parts = match value {
        Value::Text(text) => return Ok(text),
        Value::List(parts) => parts,
        other => return Err(format!("a message whose `content` is {}; text was expected", other.kind())),
    };
    let mut texts = String::new();
    for part in parts {
        match (part.get("type").and_then(Value::text), part.get("text").and_then(Value::text)) {
            (Some("text") | None, Some(text)) => texts += text,
            (kind, _) => {
                let kind = kind.unwrap_or("unknown");
                return Err(format!("a message with a part of type `{kind}`; only text can be read"));
            }
        }
    }
    Ok(texts)
}

impl From<Message> for Value {
    fn from(message: Message) -> Self {
        let mut entries =
            vec![("role".to_owned(), Self::Text(message.role)), ("content".to_owned(), Self::Text(message.content))];
        entries.extend(message.extras);
        Self::Object(entries)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(json: &str) -> Result<Message, String> {
        serde_json::from_str::<Value>(json).unwrap().try_into()
    }

    #[test]
    fn parts_and_calls() {
        let parts = parse(r#"{"role":"user","content":[{"type":"text","text":"a"},{"text":"b"}]}"#).unwrap();
        assert_eq!(parts, Message::new("user", "ab"));
        let call = parse(r#"{"role":"assistant","content":null,"tool_calls":[{"id":"1"}],"name":null}"#).unwrap();
        assert_eq!((call.content.as_str(), call.extras.len(), call.is_empty()), ("", 1, false));
        assert!(Message::new("user", "").is_empty());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (json, reason) in [
            ("3", "a number where a message"),
            (r#"{"content":"a"}"#, "without `role`"),
            (r#"{"role":"user"}"#, "without `content`"),
            (r#"{"role":1,"content":"a"}"#, "`role` is a number"),
            (r#"{"role":"user","content":{}}"#, "`content` is an object"),
            (r#"{"role":"user","content":[{"type":"image","url":"x"}]}"#, "part of type `image`"),
        ] {
            let error = parse(json).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
