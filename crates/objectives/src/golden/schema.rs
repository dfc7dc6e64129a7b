//! The form of the file.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::GoldenError;

/// The file; other keys, such as a description, are allowed.
#[derive(Deserialize)]
pub(super) struct File {
    inputs: BTreeMap<String, BTreeMap<String, Value>>,
    pub(super) entries: Vec<Entry>,
}

/// One loss on one input set.
#[derive(Deserialize)]
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) family: String,
    #[serde(default)]
    pub(super) seed: u64,
    inputs: String,
    pub(super) params: BTreeMap<String, Value>,
    #[serde(default)]
    pub(super) expected: BTreeMap<String, Value>,
    #[serde(default)]
    pub(super) grad: BTreeMap<String, Value>,
}

/// The input set of one entry.
pub(super) struct Inputs<'a> {
    id: &'a str,
    set: &'a BTreeMap<String, Value>,
}

/// A rectangular array in row-major order.
pub(super) struct Array {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) values: Vec<f64>,
}

impl<'a> Inputs<'a> {
    /// Finds the input set of `entry`.
    pub(super) fn of(entry: &'a Entry, file: &'a File) -> Result<Self, GoldenError> {
        let set = file.inputs.get(&entry.inputs).ok_or_else(|| GoldenError::Input {
            id: entry.id.clone(),
            key: entry.inputs.clone(),
            problem: "is not in the file",
        })?;
        Ok(Self { id: &entry.id, set })
    }

    /// A vector of the set; booleans are 0 or 1.
    pub(super) fn vector(&self, key: &str) -> Result<Vec<f64>, GoldenError> {
        let problem = |problem| GoldenError::Input { id: self.id.into(), key: key.into(), problem };
        let value = self.set.get(key).ok_or_else(|| problem("is not in the file"))?;
        let items = value.as_array().ok_or_else(|| problem("is no list"))?;
        if items.is_empty() || items.iter().any(Value::is_array) {
            return Err(problem("is empty or no list of numbers"));
        }
        Ok(numbers(value))
    }

    /// An array `[rows, columns]` of the set.
    pub(super) fn array(&self, key: &str) -> Result<Array, GoldenError> {
        let problem = |problem| GoldenError::Input { id: self.id.into(), key: key.into(), problem };
        let value = self.set.get(key).ok_or_else(|| problem("is not in the file"))?;
        let rows = value.as_array().ok_or_else(|| problem("is no array of rows"))?;
        let columns = rows.first().and_then(Value::as_array).map_or(0, Vec::len);
        let even = rows.iter().all(|row| row.as_array().is_some_and(|r| r.len() == columns));
        if !even || columns == 0 {
            return Err(problem("is empty or has rows of different lengths"));
        }
        Ok(Array { rows: rows.len(), columns, values: numbers(value) })
    }
}

/// All numbers in `value`, in order, those of a table by name; booleans are 0 or 1, anything else is NaN.
pub(super) fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(numbers).collect(),
        Value::Object(table) => {
            let sorted: BTreeMap<&String, &Value> = table.iter().collect();
            sorted.into_values().flat_map(numbers).collect()
        }
        Value::Bool(b) => vec![f64::from(u8::from(*b))],
        other => vec![other.as_f64().unwrap_or(f64::NAN)],
    }
}
