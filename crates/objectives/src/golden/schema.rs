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
        let inputs = Self { id: &entry.id, set };
        // Read once here, so that a bad file is an error and not a failed figure.
        for side in ["chosen", "rejected"] {
            inputs.array(&format!("policy_{side}_token_logps"))?;
            inputs.array(&format!("{side}_mask"))?;
        }
        Ok(inputs)
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

/// All numbers in `value`, in order; booleans are 0 or 1, anything else is NaN.
pub(super) fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(numbers).collect(),
        Value::Bool(b) => vec![f64::from(u8::from(*b))],
        other => vec![other.as_f64().unwrap_or(f64::NAN)],
    }
}
