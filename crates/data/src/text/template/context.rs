//! What a template sees.

use std::sync::Arc;

use minijinja::value::{Enumerator, Object, Value};

use super::Specials;
use crate::record::Message;

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
            "tools" | "documents" => Some(Value::from(())),
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
    messages
        .iter()
        .map(|message| {
            Value::from_pairs([
                ("role", Value::from(message.role.as_str())),
                ("content", Value::from(message.content.as_str())),
            ])
        })
        .collect()
}
