//! Lists of messages, and texts that are conversations in disguise.

use crate::record::{Message, Text, Value};

/// Roles by the names that conversations with `from` and `value` use.
const SPEAKERS: [(&str, &str); 9] = [
    ("human", "user"),
    ("user", "user"),
    ("gpt", "assistant"),
    ("assistant", "assistant"),
    ("chatgpt", "assistant"),
    ("system", "system"),
    ("tool", "tool"),
    ("observation", "tool"),
    ("function_response", "tool"),
];

/// True for a list of objects with `role`, or with `from` and `value`; an empty list may be one.
pub(super) fn is_chat(items: &[Value]) -> bool {
    let message = |item: &Value| item.get("role").is_some() || (item.get("from").is_some() && item.get("value").is_some());
    items.iter().all(message)
}

/// Messages of a list; `from` and `value` become role and content.
pub(super) fn messages(items: Vec<Value>) -> Result<Vec<Message>, String> {
    let message = |(at, item): (usize, Value)| {
        let item = if item.get("role").is_some() { Ok(item) } else { renamed(item) };
        item.and_then(Message::try_from).map_err(|reason| format!("{reason} (message {})", at + 1))
    };
    items.into_iter().enumerate().map(message).collect()
}

fn renamed(item: Value) -> Result<Value, String> {
    let Value::Object(mut entries) = item else {
        return Err(format!("{} where a message was expected", item.kind()));
    };
    for (key, value) in &mut entries {
        match (key.as_str(), &*value) {
            ("value", _) => *key = "content".to_owned(),
            ("from", Value::Text(speaker)) => {
                let role = SPEAKERS.iter().find(|(name, _)| name == speaker).map(|(_, role)| *role);
                let role = role.ok_or_else(|| format!("a message from `{speaker}`, whose role is not known"))?;
                (*key, *value) = ("role".to_owned(), Value::from(role));
            }
            _ => {}
        }
    }
    Ok(Value::Object(entries))
}

/// One turn of the user.
pub(super) fn ask(text: impl Into<String>) -> Text {
    Text::Chat(vec![Message::new("user", text)])
}

/// One turn of the assistant.
pub(super) fn answer(text: impl Into<String>) -> Text {
    Text::Chat(vec![Message::new("assistant", text)])
}

/// A dialogue that ends where the assistant is to answer, as messages; the last mark opens the answer and is dropped.
pub(super) fn dialogue_prompt(text: &str) -> Option<Vec<Message>> {
    let mut messages = crate::hh::messages(text)?;
    if messages.last().is_some_and(|last| last.role == "assistant" && last.content.is_empty()) {
        messages.pop();
    }
    Some(messages)
}

/// Divides a conversation before its last assistant turn: what is answered, and the answer.
pub(super) fn before_last_answer(mut messages: Vec<Message>) -> Result<(Vec<Message>, Vec<Message>), &'static str> {
    match messages.pop() {
        Some(last) if last.role == "assistant" => Ok((messages, vec![last])),
        _ => Err("the conversation does not end with an assistant turn"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn items(json: &str) -> Vec<Value> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn both_kinds_of_keys() {
        let list = items(r#"[{"from":"human","value":"q"},{"from":"gpt","value":"a","weight":1}]"#);
        assert!(is_chat(&list));
        let found = messages(list).unwrap();
        assert_eq!((found[0].clone(), found[1].role.as_str()), (Message::new("user", "q"), "assistant"));
        assert_eq!(found[1].extra("weight"), Some(&Value::Int(1)));
        let error = messages(items(r#"[{"role":"user","content":"q"},{"from":"alien","value":"a"}]"#)).unwrap_err();
        assert!(error.contains("from `alien`") && error.contains("message 2"), "{error}");
        assert!(!is_chat(&items(r#"[{"content":"a"}]"#)));
        assert!(!is_chat(&items("[1]")));
    }

    #[test]
    fn prompts_of_dialogues() {
        let found = dialogue_prompt("\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant: ").unwrap();
        assert_eq!(found.last(), Some(&Message::new("user", "c")));
        assert_eq!(found.len(), 3);
        assert_eq!(dialogue_prompt("a"), None);
    }
}
