//! The options of an entry, and which of them a plan has read.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::Entry;

/// Options that are ticked off as they are read, so that one nobody reads is noticed.
pub struct Params<'a> {
    values: &'a BTreeMap<String, Value>,
    read: Vec<&'a str>,
    neutral: Vec<(&'static str, Value)>,
}

impl<'a> Params<'a> {
    /// The options of `entry`.
    pub fn of(entry: &'a Entry) -> Self {
        Self { values: &entry.params, read: Vec::new(), neutral: Vec::new() }
    }

    fn take(&mut self, key: &'static str) -> Option<&'a Value> {
        self.read.push(key);
        self.values.get(key)
    }

    /// Counts an option as read.
    pub fn ignore(&mut self, key: &'static str) {
        self.read.push(key);
    }

    /// Lets an option pass if it has this value.
    pub fn neutral(&mut self, key: &'static str, value: Value) {
        self.neutral.push((key, value));
    }

    /// A numeric option.
    pub fn number(&mut self, key: &'static str) -> Option<f64> {
        self.take(key)?.as_f64()
    }

    /// A numeric option that may be absent or null; `None` outside when it is something else.
    pub fn optional(&mut self, key: &'static str) -> Option<Option<f64>> {
        match self.take(key) {
            None | Some(Value::Null) => Some(None),
            Some(value) => value.as_f64().map(Some),
        }
    }

    /// A list of `n` numbers; absent or null, `default` for each.
    pub fn numbers(&mut self, key: &'static str, n: usize, default: f64) -> Option<Vec<f64>> {
        match self.take(key) {
            None | Some(Value::Null) => Some(vec![default; n]),
            Some(Value::Array(items)) if items.len() == n => items.iter().map(Value::as_f64).collect(),
            Some(_) => None,
        }
    }

    /// A boolean option, false when absent.
    pub fn flag(&mut self, key: &'static str) -> Option<bool> {
        match self.take(key) {
            None => Some(false),
            Some(value) => value.as_bool(),
        }
    }

    /// A named option.
    pub fn name(&mut self, key: &'static str) -> Option<&'a str> {
        self.take(key)?.as_str()
    }

    /// One name or several.
    pub fn names(&mut self, key: &'static str) -> Option<Vec<&'a str>> {
        match self.take(key)? {
            Value::String(name) => Some(vec![name]),
            Value::Array(names) if !names.is_empty() => names.iter().map(Value::as_str).collect(),
            _ => None,
        }
    }

    /// Whether each option was read, or stands at a value at which it does nothing.
    pub fn all_read(&self) -> bool {
        self.values.iter().all(|(key, value)| {
            self.read.contains(&key.as_str()) || self.neutral.iter().any(|(k, v)| k == key && same(v, value))
        })
    }
}

/// Equality in which 0 and 0.0 are the same number.
fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}
