//! Reading single keys of `config.json`, with errors that name them.
use crate::error::LmError;
use serde_json::{Map, Value};
use std::path::Path;

/// The keys of one file.
#[derive(Clone, Copy)]
pub(crate) struct Keys<'a> {
    pub(crate) raw: &'a Map<String, Value>,
    pub(crate) path: &'a Path,
}

impl<'a> Keys<'a> {
    pub(crate) fn refuse(&self, key: &str, problem: impl Into<String>) -> LmError {
        LmError::Config { path: self.path.into(), key: key.into(), problem: problem.into() }
    }

    /// A value that is there and not null.
    pub(crate) fn get(&self, key: &str) -> Option<&'a Value> {
        self.raw.get(key).filter(|v| !v.is_null())
    }

    fn typed<T>(&self, key: &str, what: &str, read: impl Fn(&'a Value) -> Option<T>) -> Result<Option<T>, LmError> {
        let Some(v) = self.get(key) else { return Ok(None) };
        read(v).map(Some).ok_or_else(|| self.refuse(key, format!("is {v}, expected {what}")))
    }

    pub(crate) fn count(&self, key: &str) -> Result<Option<usize>, LmError> {
        self.typed(key, "a whole number", |v| v.as_u64().and_then(|n| usize::try_from(n).ok()))
    }

    /// A count without which there is no model.
    pub(crate) fn size(&self, key: &str) -> Result<usize, LmError> {
        self.count(key)?.ok_or_else(|| self.refuse(key, "is missing, this architecture needs it"))
    }

    pub(crate) fn number(&self, key: &str) -> Result<Option<f64>, LmError> {
        self.typed(key, "a number", Value::as_f64)
    }

    pub(crate) fn flag(&self, key: &str, default: bool) -> Result<bool, LmError> {
        Ok(self.typed(key, "true or false", Value::as_bool)?.unwrap_or(default))
    }

    pub(crate) fn text(&self, key: &str) -> Result<Option<&'a str>, LmError> {
        self.typed(key, "a text", Value::as_str)
    }

    /// A number that has a default when the key is missing, and none when it is null.
    pub(crate) fn or_null(&self, key: &str, default: f64) -> Result<Option<f64>, LmError> {
        if self.raw.contains_key(key) { self.number(key) } else { Ok(Some(default)) }
    }
}
