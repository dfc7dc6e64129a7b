//! What to read from a preference file.

use serde::{Deserialize, Serialize};

use crate::DataError;

/// How rows are laid out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// HH-RLHF dialogues where there is no prompt column and the first chosen text begins with a human turn,
    /// otherwise pairs.
    #[default]
    Auto,
    /// Text or messages in `chosen` and `rejected`, with or without a prompt column.
    Pairs,
    /// HH-RLHF dialogues in `chosen` and `rejected`.
    Hh,
}

/// Names of the columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Columns {
    /// The prompt; none: the column `prompt` where the file has one, else the prompt is found in the two sides.
    pub prompt: Option<String>,
    /// The preferred side.
    pub chosen: String,
    /// The dispreferred side.
    pub rejected: String,
}

impl Default for Columns {
    fn default() -> Self {
        Self { prompt: None, chosen: "chosen".to_owned(), rejected: "rejected".to_owned() }
    }
}

/// Options of [`super::read_pairs`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReadOptions {
    /// How rows are laid out.
    pub format: Format,
    /// Names of the columns.
    pub columns: Columns,
    /// Further columns of numbers to read into [`Pair::numbers`](crate::record::Pair::numbers).
    pub numbers: Vec<String>,
    /// Read only so many rows from the beginning.
    pub limit: Option<usize>,
}

impl ReadOptions {
    /// Checks the values.
    ///
    /// # Errors
    /// A limit of 0, two columns of one name, or a prompt column with the format `hh`, which has none.
    pub fn check(&self) -> Result<(), DataError> {
        if self.limit == Some(0) {
            return Err(DataError::config("limit", 0, "must be at least 1; leave it out to read everything"));
        }
        let columns = &self.columns;
        if columns.chosen == columns.rejected {
            return Err(DataError::config("columns.rejected", &columns.rejected, "is the same column as `columns.chosen`"));
        }
        let Some(prompt) = &columns.prompt else {
            return Ok(());
        };
        if *prompt == columns.chosen || *prompt == columns.rejected {
            return Err(DataError::config("columns.prompt", prompt, "is also the column of a completion"));
        }
        if self.format == Format::Hh {
            let reason = "the format `hh` finds the prompt in the dialogues; leave it out or use the format `pairs`";
            return Err(DataError::config("columns.prompt", prompt, reason));
        }
        Ok(())
    }

    /// The prompt column to look for, if any.
    pub(super) fn prompt_name(&self) -> Option<&str> {
        match (&self.columns.prompt, self.format) {
            (_, Format::Hh) => None,
            (Some(name), _) => Some(name),
            (None, _) => {
                let taken = [&self.columns.chosen, &self.columns.rejected].iter().any(|name| *name == "prompt");
                (!taken).then_some("prompt")
            }
        }
    }
}
