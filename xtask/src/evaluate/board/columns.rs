//! CSV files with a header.
use crate::config::nearest;
use crate::error::XtaskError;
use csv::StringRecord;
use std::path::{Path, PathBuf};

/// A file in memory.
pub(super) struct Csv {
    path: PathBuf,
    header: Vec<String>,
    rows: Vec<StringRecord>,
}

/// One row.
pub(super) struct CsvRow<'a> {
    file: &'a Csv,
    row: &'a StringRecord,
}

impl Csv {
    pub(super) fn read(path: &Path) -> Result<Self, XtaskError> {
        let broken = |e: csv::Error| {
            let problem = format!("{}: no CSV file: {e}", path.display());
            XtaskError::usage(problem, "every row needs as many cells as the header has")
        };
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).map_err(broken)?;
        let header = reader.headers().map_err(broken)?.iter().map(str::to_owned).collect();
        let rows = reader.records().collect::<Result<_, _>>().map_err(broken)?;
        Ok(Csv { path: path.into(), header, rows })
    }

    /// Where a column stands.
    pub(super) fn column(&self, name: &str) -> Result<usize, XtaskError> {
        self.header.iter().position(|h| h == name).ok_or_else(|| {
            let near = nearest(name, self.header.iter().map(String::as_str));
            let near = near.map(|n| format!("the nearest is `{n}`; ")).unwrap_or_default();
            let problem = format!("{} has no column `{name}`", self.path.display());
            XtaskError::usage(problem, format!("{near}its columns are {}", self.header.join(", ")))
        })
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = CsvRow<'_>> {
        self.rows.iter().map(|row| CsvRow { file: self, row })
    }
}

impl CsvRow<'_> {
    pub(super) fn text(&self, column: usize) -> &str {
        self.row.get(column).unwrap_or_default()
    }

    pub(super) fn number(&self, column: usize) -> Result<f64, XtaskError> {
        let number = self.text(column).parse::<f64>().ok().filter(|v| v.is_finite());
        number.ok_or_else(|| self.wrong(column, "a number"))
    }

    pub(super) fn count(&self, column: usize) -> Result<usize, XtaskError> {
        self.text(column).parse().map_err(|_| self.wrong(column, "a whole number from 0"))
    }

    fn wrong(&self, column: usize, expected: &str) -> XtaskError {
        let line = self.row.position().map_or(0, csv::Position::line);
        let (file, name) = (self.file.path.display(), self.file.header.get(column).map_or("", String::as_str));
        let problem = format!("{file}, line {line}: `{name}` is `{}`, expected {expected}", self.text(column));
        XtaskError::usage(problem, "correct the cell, or remove the row")
    }
}
