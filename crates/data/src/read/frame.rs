//! Data frames from JSONL and Parquet bytes.

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use polars::prelude::*;

use super::ReadOptions;
use super::bytes::{self, Kind};
use super::columns::Names;
use super::scan::{Scan, Shape, scan};
use crate::DataError;
use crate::record::Source;

/// The wanted columns of a file.
pub(super) struct Table {
    pub(super) file: Arc<str>,
    pub(super) names: Names,
    pub(super) frame: DataFrame,
    lines: Option<Vec<usize>>,
}

impl Table {
    /// Where the row of this index (from 0) stands.
    pub(super) fn source(&self, index: usize) -> Source {
        let line = self.lines.as_ref().and_then(|lines| lines.get(index).copied());
        Source { file: self.file.clone(), row: index + 1, line }
    }
}

/// Reads the wanted columns.
pub(super) fn load(path: &Path, options: &ReadOptions) -> Result<Table, DataError> {
    let (bytes, kind) = bytes::load(path)?;
    let file: Arc<str> = path.display().to_string().into();
    let table = match kind {
        Kind::Jsonl => jsonl(file, &bytes, options)?,
        Kind::Parquet => parquet(file, bytes, options)?,
    };
    if table.frame.height() == 0 {
        let what = format!("file {}", table.file);
        return Err(DataError::NoRows { what, reason: "the file has no rows".to_owned() });
    }
    Ok(table)
}

fn jsonl(file: Arc<str>, bytes: &[u8], options: &ReadOptions) -> Result<Table, DataError> {
    let mut wanted = vec![options.columns.chosen.as_str(), options.columns.rejected.as_str()];
    wanted.extend(options.prompt_name());
    let numbers: Vec<&str> = options.numbers.iter().map(String::as_str).collect();
    let found = scan(&file, bytes, (&wanted, &numbers), options.limit)?;
    wanted.extend(numbers);
    let names = Names::find(&file, &found.columns, options)?;
    let schema = schema(&names, &wanted, &found);
    let frame = JsonReader::new(Cursor::new(&bytes[..found.end]))
        .with_json_format(JsonFormat::JsonLines)
        .with_schema(Arc::new(schema))
        .finish()
        .map_err(|error| broken(&file, &error))?;
    if frame.height() != found.lines.len() {
        let reason = format!("{} lines were scanned but {} rows read", found.lines.len(), frame.height());
        return Err(DataError::File { path: file.as_ref().into(), reason });
    }
    Ok(Table { file, names, frame, lines: Some(found.lines) })
}

fn schema(names: &Names, wanted: &[&str], found: &Scan) -> Schema {
    let message = ["role", "content"].map(|name| Field::new(name.into(), DataType::String));
    let chat = DataType::List(Box::new(DataType::Struct(message.to_vec())));
    let kind = |name: &str| {
        let at = wanted.iter().position(|there| *there == name);
        match at.and_then(|at| found.shapes[at]) {
            Some(Shape::Chat) => chat.clone(),
            Some(Shape::Flag) => DataType::Boolean,
            Some(Shape::Number) => DataType::Float64,
            // a column of nulls only is as good as any: its first cell is an error
            _ => DataType::String,
        }
    };
    names.all().iter().map(|name| Field::new(name.as_str().into(), kind(name))).collect()
}

fn parquet(file: Arc<str>, bytes: Vec<u8>, options: &ReadOptions) -> Result<Table, DataError> {
    let mut reader = ParquetReader::new(Cursor::new(bytes));
    let schema = reader.schema().map_err(|error| broken(&file, &error))?;
    let present: Vec<String> = schema.iter_names().map(ToString::to_string).collect();
    let names = Names::find(&file, &present, options)?;
    let frame = reader
        .with_columns(Some(names.all()))
        .with_slice(options.limit.map(|limit| (0, limit)))
        .finish()
        .map_err(|error| broken(&file, &error))?;
    Ok(Table { file, names, frame, lines: None })
}

fn broken(file: &str, error: &PolarsError) -> DataError {
    DataError::File { path: file.into(), reason: format!("cannot be parsed: {error}") }
}
