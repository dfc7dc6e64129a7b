//! What a template sees.

use std::sync::Arc;

use minijinja::value::{Enumerator, Object, Value};

use super::Specials;
use crate::record::{self, Message};

/// What all renderings of a tokenizer share.
#[derive(Debug)]
pub(in crate::text) struct Shared {
    specials: Vec<(String, Value)>,
}

impl Shared {
    pub(in crate::text) fn new(specials: &Specials) -> Self {
        let specials = specials.iter().map(|(name, token)| (name.clone(), Value::from(token.as_str())));
        Self { specials: specials.collect() }
    }
}

/// The variables of one rendering.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) messages: Value,
    pub(super) tools: Value,
    pub(super) add_generation_prompt: bool,
    pub(super) shared: Arc<Shared>,
}

impl Root {
    /// About how long the text will be.
    pub(super) fn size_hint(&self) -> usize {
        256 + 256 * self.messages.len().unwrap_or(0)
    }
}

impl Object for Root {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        match key {
            "messages" => Some(self.messages.clone()),
            "add_generation_prompt" => Some(Value::from(self.add_generation_prompt)),
            "tools" => Some(self.tools.clone()),
            "documents" => Some(Value::from(())),
            _ => self.shared.specials.iter().find(|(name, _)| name == key).map(|(_, token)| token.clone()),
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let names = ["messages", "add_generation_prompt", "tools", "documents"].map(Value::from);
        let specials = self.shared.specials.iter().map(|(name, _)| Value::from(name.as_str()));
        Enumerator::Values(names.into_iter().chain(specials).collect())
    }
}

/// Messages as a template's values, one for each, so that conversations can be put together from them.
pub(in crate::text) fn turns(messages: &[Message]) -> Vec<Value> {
    let turn = |message: &Message| {
        let said = [("role", Value::from(message.role.as_str())), ("content", Value::from(message.content.as_str()))];
        if message.extras.is_empty() {
            return Value::from_pairs(said);
        }
        let further = message.extras.iter().map(|(key, value)| (key.as_str(), value_of(value)));
        Value::from_pairs(said.into_iter().chain(further))
    };
    messages.iter().map(turn).collect()
}

/// Tools as a template's value; none where there are none.
pub(in crate::text) fn tools(tools: &[record::Value]) -> Value {
    match tools {
        [] => Value::from(()),
        tools => Value::from(tools.iter().map(value_of).collect::<Vec<_>>()),
    }
}

fn value_of(value: &record::Value) -> Value {
    match value {
        record::Value::Null => Value::from(()),
        record::Value::Bool(value) => Value::from(*value),
        record::Value::Int(value) => Value::from(*value),
        record::Value::Large(value) => Value::from(*value),
        record::Value::Float(value) => Value::from(*value),
        record::Value::Text(text) => Value::from(text.as_str()),
        record::Value::List(items) => Value::from(items.iter().map(value_of).collect::<Vec<_>>()),
        record::Value::Object(entries) => {
            Value::from_pairs(entries.iter().map(|(key, value)| (key.as_str(), value_of(value))))
        }
    }
}
