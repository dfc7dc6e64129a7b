//! What every kind of file offers to the reader: columns to choose from, then batches of rows.

use std::path::Path;
use std::sync::Arc;

use super::bytes::{Bytes, Kind, no_rows};
use super::{arrow, csv, jsonl, parquet};
use crate::DataError;
use crate::record::{Source, Value};

/// Rows of a batch at most.
pub(super) const BATCH_ROWS: usize = 2048;
/// Rows of which the first cells are looked at to recognise a format.
pub(super) const SAMPLE_ROWS: usize = 64;
/// Bytes of text that a batch gathers before it is handed on.
pub(super) const BATCH_BYTES: usize = 4 << 20;

/// A column of a file.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    /// Its name in the file.
    pub(crate) name: String,
    /// Its first cell that is not null, if any was seen.
    pub(crate) first: Option<Value>,
    /// Why the column cannot be read, where its type is none that can.
    pub(crate) problem: Option<String>,
}

/// The cells of a row under the columns that were asked for, in their order.
#[derive(Debug)]
pub(super) struct RawRow {
    pub(super) source: Source,
    /// Or why the row cannot be read.
    pub(super) cells: Result<Vec<Value>, String>,
}

/// A file's rows.
pub(super) trait Rows: Send {
    /// The columns, of a file without schema those of its first rows.
    fn columns(&self) -> &[Column];

    /// Chooses the columns to read; one that the file does not have reads as null. To be called once, before rows are read.
    fn choose(&mut self, columns: &[String]) -> Result<(), DataError>;

    /// The next rows, at least one; `None` at the end.
    fn next_rows(&mut self) -> Result<Option<Vec<RawRow>>, DataError>;
}

/// A file with its rows.
pub(super) struct Table {
    pub(super) file: Arc<str>,
    /// True where every cell is text, as in CSV, and numbers and lists are to be read from it.
    pub(super) untyped: bool,
    pub(super) rows: Box<dyn Rows>,
}

impl Table {
    /// Opens a file of any kind.
    pub(super) fn open(path: &Path) -> Result<Self, DataError> {
        let file: Arc<str> = path.display().to_string().into();
        let (bytes, kind) = Bytes::open(path)?;
        let columnar = matches!(kind, Kind::Parquet | Kind::ArrowFile | Kind::ArrowStream);
        if columnar && bytes.codec().is_some() {
            let reason = "Parquet and Arrow files compress their own columns; unpack the file".to_owned();
            return Err(DataError::File { path: path.to_owned(), reason });
        }
        let rows: Box<dyn Rows> = match kind {
            Kind::Jsonl => Box::new(jsonl::Jsonl::open(path, &file, bytes)?),
            Kind::Csv { delimiter } => Box::new(csv::Csv::open(path, &file, bytes, delimiter)?),
            Kind::Parquet => Box::new(parquet::Parquet::open(path, &file)?),
            Kind::ArrowFile => Box::new(arrow::Arrow::open_file(path, &file)?),
            Kind::ArrowStream => Box::new(arrow::Arrow::open_stream(path, &file)?),
        };
        if rows.columns().is_empty() {
            return Err(no_rows(path, "the file has no rows"));
        }
        Ok(Self { file, untyped: matches!(kind, Kind::Csv { .. }), rows })
    }
}

/// Columns with their first cells, from the cells of a sample.
pub(super) fn first_cells(names: Vec<String>, rows: impl Iterator<Item = Vec<Value>>) -> Vec<Column> {
    let mut columns: Vec<Column> = names.into_iter().map(|name| Column { name, first: None, problem: None }).collect();
    for row in rows {
        for (column, cell) in columns.iter_mut().zip(row) {
            if column.first.is_none() && !cell.is_null() {
                column.first = Some(cell);
            }
        }
    }
    columns
}
