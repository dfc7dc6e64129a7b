//! The columns to read, and the error that lists those there are.

use super::ReadOptions;
use crate::DataError;

/// Names of the columns that a file has and the options ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) prompt: Option<String>,
    pub(super) chosen: String,
    pub(super) rejected: String,
    pub(super) numbers: Vec<String>,
}

impl Names {
    /// Finds the columns among those present.
    pub(super) fn find(file: &str, present: &[String], options: &ReadOptions) -> Result<Self, DataError> {
        let need = |name: &str| {
            if present.iter().any(|there| there == name) { Ok(name.to_owned()) } else { Err(missing(file, name, present)) }
        };
        let prompt = match (options.prompt_name(), &options.columns.prompt) {
            (Some(name), Some(_)) => Some(need(name)?),
            (Some(name), None) => need(name).ok(),
            (None, _) => None,
        };
        let numbers = options.numbers.iter().map(|name| need(name)).collect::<Result<_, _>>()?;
        let (chosen, rejected) = (need(&options.columns.chosen)?, need(&options.columns.rejected)?);
        Ok(Self { prompt, chosen, rejected, numbers })
    }

    /// All names.
    pub(super) fn all(&self) -> Vec<String> {
        self.prompt.iter().chain([&self.chosen, &self.rejected]).chain(&self.numbers).cloned().collect()
    }
}

fn missing(file: &str, column: &str, present: &[String]) -> DataError {
    let mut sorted: Vec<&String> = present.iter().collect();
    sorted.sort_by_key(|name| (distance(name, column), *name));
    let listed: Vec<String> = sorted.iter().map(|name| format!("`{name}`")).collect();
    DataError::MissingColumn { file: file.to_owned(), column: column.to_owned(), present: listed.join(", ") }
}

/// Edit distance (insertions, deletions, substitutions), by the row method.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn distances() {
        for (a, b, d) in [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("chosen", "choosen", 1)] {
            assert_eq!((distance(a, b), distance(b, a)), (d, d), "{a} {b}");
        }
    }

    #[test]
    fn nearest_column_comes_first() {
        let present = ["answer", "chosem", "rejected"].map(str::to_owned);
        let error = Names::find("f", &present, &ReadOptions::default()).unwrap_err().to_string();
        assert!(error.contains("no column `chosen`; its columns are `chosem`, "), "{error}");
    }
}
