//! What to read from a preference file, and how.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::DataError;
use crate::formats::Format;

/// Where a format's columns stand in the file: the format's name of a column, and the file's.
///
/// In TOML `columns.chosen = "better"` reads the file's column `better` as `chosen`. A column that is read under another
/// name is not read under its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Columns(BTreeMap<String, String>);

impl Columns {
    /// From pairs of the format's name and the file's.
    ///
    /// ```
    /// use tropism_data::read::Columns;
    /// let columns = Columns::new([("chosen", "better"), ("rejected", "worse")]);
    /// assert_eq!(columns.file_name("chosen"), Some("better"));
    /// ```
    pub fn new<'a>(names: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self(names.into_iter().map(|(name, file)| (name.to_owned(), file.to_owned())).collect())
    }

    /// The file's name of a column that is mapped.
    pub fn file_name(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Pairs of the format's name and the file's.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, file)| (name.as_str(), file.as_str()))
    }
}

/// What becomes of a row that is not as its format says: broken JSON, a missing or mistyped cell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BrokenRows {
    /// An error that names the row.
    #[default]
    Stop,
    /// The row is left out and counted in the audit.
    Drop,
}

/// What becomes of pairs of plain text without a prompt column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImplicitPrompt {
    /// Both sides stay whole, the prompt is empty; the audit notes it.
    #[default]
    None,
    /// The beginning that both sides share is the prompt, up to the last white space in it, which stays with the sides
    /// ([`crate::prompt::divide_text`]).
    Shared,
}

/// Options of the readers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReadOptions {
    /// How rows are laid out.
    pub format: Format,
    /// Names of the columns, where they are not the format's own.
    pub columns: Columns,
    /// Further columns of numbers to read into [`Record::numbers`](crate::record::Record::numbers), by the file's names.
    pub numbers: Vec<String>,
    /// Read only so many rows from the beginning, over all files.
    pub limit: Option<usize>,
    /// What becomes of rows that are not as the format says.
    pub broken_rows: BrokenRows,
    /// Where the prompt of plain pairs without a prompt column is looked for.
    pub implicit_prompt: ImplicitPrompt,
}

impl ReadOptions {
    /// Checks the values.
    ///
    /// # Errors
    /// A limit of 0, or one column of the file under two names.
    pub fn check(&self) -> Result<(), DataError> {
        if self.limit == Some(0) {
            return Err(DataError::config("limit", 0, "must be at least 1; leave it out to read everything"));
        }
        let mut seen = BTreeMap::new();
        for (name, file) in self.columns.iter() {
            if let Some(other) = seen.insert(file, name) {
                let reason = format!("is the same column as `columns.{other}`");
                return Err(DataError::config(&format!("columns.{name}"), file, reason));
            }
        }
        let mut numbers = BTreeSet::new();
        match self.numbers.iter().find(|name| !numbers.insert(name.as_str())) {
            Some(twice) => Err(DataError::config("numbers", twice, "is listed twice")),
            None => Ok(()),
        }
    }
}
