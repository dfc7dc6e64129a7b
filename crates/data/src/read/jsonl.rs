//! JSON objects, one a line.
//!
//! Lines are parsed here and not by polars: rows of preference files differ in shape (the arguments of tool calls do
//! by nature), a data frame needs one schema for all of them, and its reader wants the whole file at once.

use std::fmt;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::bytes::{Bytes, no_rows};
use super::table::{BATCH_BYTES, BATCH_ROWS, Column, RawRow, Rows, SAMPLE_ROWS};
use crate::DataError;
use crate::record::{Source, Value};

/// The longest line that is read: a file without line breaks must not fill the memory.
const LONGEST_LINE: usize = 256 << 20;

pub(super) struct Jsonl {
    path: PathBuf,
    file: Arc<str>,
    bytes: Bytes,
    columns: Vec<Column>,
    chosen: Vec<String>,
    /// lines read for the sample
    waiting: Option<Lines>,
    line: usize,
    row: usize,
}

/// Lines that are not blank, one after the other, with their ends and numbers.
#[derive(Default)]
struct Lines {
    text: Vec<u8>,
    ends: Vec<(usize, usize)>,
}

impl Jsonl {
    pub(super) fn open(path: &Path, file: &Arc<str>, bytes: Bytes) -> Result<Self, DataError> {
        let (path, file) = (path.to_owned(), file.clone());
        let mut rows = Self { path, file, bytes, columns: Vec::new(), chosen: Vec::new(), waiting: None, line: 0, row: 0 };
        let lines = rows.read_lines(SAMPLE_ROWS)?;
        if lines.ends.is_empty() {
            return Err(no_rows(&rows.path, "the file is empty"));
        }
        rows.columns = rows.sample(&lines)?;
        rows.waiting = Some(lines);
        Ok(rows)
    }

    /// Keys of the first lines with their first values. A line that is broken is reported when it is read, unless none
    /// is sound.
    fn sample(&self, lines: &Lines) -> Result<Vec<Column>, DataError> {
        let (mut columns, mut broken) = (Vec::new(), None);
        for at in 0..lines.ends.len() {
            match parse_object(lines.line(at)) {
                Ok(entries) => entries.into_iter().for_each(|(key, cell)| see(&mut columns, key, cell)),
                Err(reason) => broken = broken.or(Some((lines.ends[at].1, reason))),
            }
        }
        match broken {
            Some((line, reason)) if columns.is_empty() => Err(DataError::Json { file: self.file.to_string(), line, reason }),
            _ => Ok(columns),
        }
    }

    /// Gathers lines until there are enough rows or bytes; blank lines are counted and left out.
    fn read_lines(&mut self, most: usize) -> Result<Lines, DataError> {
        let mut lines = Lines::default();
        while lines.ends.len() < most && lines.text.len() < BATCH_BYTES {
            let start = lines.text.len();
            let limit = LONGEST_LINE as u64;
            let read = std::io::Read::take(&mut *self.bytes.reader(), limit).read_until(b'\n', &mut lines.text);
            match read {
                Ok(0) => break,
                Ok(read) if read as u64 == limit => {
                    let reason = format!("line {} is longer than {LONGEST_LINE} bytes; is this JSONL?", self.line + 1);
                    return Err(DataError::File { path: self.path.clone(), reason });
                }
                Ok(_) => self.line += 1,
                Err(error) => return Err(self.bytes.error(&self.path, &error)),
            }
            if is_blank(&lines.text[start..]) {
                lines.text.truncate(start);
            } else {
                lines.ends.push((lines.text.len(), self.line));
            }
        }
        Ok(lines)
    }
}

impl Lines {
    fn line(&self, at: usize) -> &[u8] {
        let start = if at == 0 { 0 } else { self.ends[at - 1].0 };
        &self.text[start..self.ends[at].0]
    }
}

impl Rows for Jsonl {
    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn choose(&mut self, columns: &[String]) -> Result<(), DataError> {
        self.chosen = columns.to_vec();
        Ok(())
    }

    fn next_rows(&mut self) -> Result<Option<Vec<RawRow>>, DataError> {
        let lines = match self.waiting.take() {
            Some(lines) => lines,
            None => self.read_lines(BATCH_ROWS)?,
        };
        if lines.ends.is_empty() {
            return Ok(None);
        }
        let parse = |at: usize| {
            let source = Source { file: self.file.clone(), row: self.row + at + 1, line: Some(lines.ends[at].1) };
            RawRow { source, cells: parse_line(lines.line(at), &self.chosen) }
        };
        let rows: Vec<RawRow> = (0..lines.ends.len()).into_par_iter().map(parse).collect();
        self.row += rows.len();
        Ok(Some(rows))
    }
}

/// Adds a cell to the columns seen so far.
fn see(columns: &mut Vec<Column>, key: String, cell: Value) {
    let first = (!cell.is_null()).then_some(cell);
    match columns.iter_mut().find(|column| column.name == key) {
        Some(column) => column.first = column.first.take().or(first),
        None => columns.push(Column { name: key, first, problem: None }),
    }
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
}

fn parse_object(line: &[u8]) -> Result<Vec<(String, Value)>, String> {
    match serde_json::from_slice(line) {
        Ok(Value::Object(entries)) => Ok(entries),
        Ok(other) => Err(format!("{} where a JSON object was expected", other.kind())),
        Err(error) => Err(reason(&error)),
    }
}

fn parse_line(line: &[u8], chosen: &[String]) -> Result<Vec<Value>, String> {
    let mut parser = serde_json::Deserializer::from_slice(line);
    let cells = Line(chosen).deserialize(&mut parser).and_then(|cells| parser.end().map(|()| cells));
    cells.map_err(|error| format!("not valid JSON: {}; fix or remove the line", reason(&error)))
}

/// The parser's message without its own line count, which is always 1.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or(&text);
    format!("{text} (character {})", error.column())
}

/// Reads the chosen keys of one object.
struct Line<'a>(&'a [String]);

impl<'de> DeserializeSeed<'de> for Line<'_> {
    type Value = Vec<Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Line<'_> {
    type Value = Vec<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut cells = vec![Value::Null; self.0.len()];
        let mut seen = vec![false; self.0.len()];
        while let Some(key) = map.next_key::<String>()? {
            match self.0.iter().position(|name| *name == key) {
                Some(at) if seen[at] => return Err(de::Error::custom(format!("key `{key}` stands twice"))),
                Some(at) => {
                    seen[at] = true;
                    cells[at] = map.next_value()?;
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(cells)
    }
}
