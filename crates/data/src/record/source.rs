//! Where a record came from.

use std::fmt;
use std::sync::Arc;

/// Where a record came from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    /// The file, or a name for generated records.
    pub file: Arc<str>,
    /// Data row, from 1; blank lines do not count.
    pub row: usize,
    /// Line of a line-based file, from 1; blank lines count.
    pub line: Option<usize>,
}

impl Source {
    /// A row of something without lines.
    pub fn row(file: impl Into<Arc<str>>, row: usize) -> Self {
        Self { file: file.into(), row, line: None }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}, line {line}", self.file),
            None => write!(f, "{}, row {}", self.file, self.row),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_name_line_or_row() {
        assert_eq!(Source::row("a.parquet", 3).to_string(), "a.parquet, row 3");
        let source = Source { file: "a.jsonl".into(), row: 3, line: Some(7) };
        assert_eq!(source.to_string(), "a.jsonl, line 7");
    }
}
