//! The form of the file.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::GoldenError;

/// The file; other keys, such as a description, are allowed.
#[derive(Debug, Deserialize)]
pub struct File {
    inputs: BTreeMap<String, BTreeMap<String, Value>>,
    /// The entries, in order.
    pub entries: Vec<Entry>,
}

/// One loss on one input set.
#[derive(Debug, Deserialize)]
pub struct Entry {
    /// Its name.
    pub id: String,
    /// Its family of losses.
    pub family: String,
    /// Which random inputs it has.
    #[serde(default)]
    pub seed: u64,
    inputs: String,
    /// Options by the names of the reference.
    pub params: BTreeMap<String, Value>,
    /// Reference figures.
    #[serde(default)]
    pub expected: BTreeMap<String, Value>,
    /// Reference gradients.
    #[serde(default)]
    pub grad: BTreeMap<String, Value>,
}

/// The input set of one entry.
pub struct Inputs<'a> {
    id: &'a str,
    set: &'a BTreeMap<String, Value>,
}

/// A rectangular array in row-major order.
pub struct Array {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub columns: usize,
    /// Elements row by row.
    pub values: Vec<f64>,
}

impl<'a> Inputs<'a> {
    /// Finds the input set of `entry`.
    ///
    /// # Errors
    /// [`GoldenError::Input`].
    pub fn of(entry: &'a Entry, file: &'a File) -> Result<Self, GoldenError> {
        let set = file.inputs.get(&entry.inputs).ok_or_else(|| GoldenError::Input {
            id: entry.id.clone(),
            key: entry.inputs.clone(),
            problem: "is not in the file",
        })?;
        Ok(Self { id: &entry.id, set })
    }

    /// A number of the set.
    ///
    /// # Errors
    /// [`GoldenError::Input`].
    pub fn number(&self, key: &str) -> Result<f64, GoldenError> {
        let problem = |problem| GoldenError::Input { id: self.id.into(), key: key.into(), problem };
        let value = self.set.get(key).ok_or_else(|| problem("is not in the file"))?;
        value.as_f64().ok_or_else(|| problem("is no number"))
    }

    /// A vector of the set; booleans are 0 or 1.
    ///
    /// # Errors
    /// [`GoldenError::Input`].
    pub fn vector(&self, key: &str) -> Result<Vec<f64>, GoldenError> {
        let problem = |problem| GoldenError::Input { id: self.id.into(), key: key.into(), problem };
        let value = self.set.get(key).ok_or_else(|| problem("is not in the file"))?;
        let items = value.as_array().ok_or_else(|| problem("is no list"))?;
        if items.is_empty() || items.iter().any(Value::is_array) {
            return Err(problem("is empty or no list of numbers"));
        }
        Ok(numbers(value))
    }

    /// An array `[rows, columns]` of the set.
    ///
    /// # Errors
    /// [`GoldenError::Input`].
    pub fn array(&self, key: &str) -> Result<Array, GoldenError> {
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
pub fn numbers(value: &Value) -> Vec<f64> {
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
