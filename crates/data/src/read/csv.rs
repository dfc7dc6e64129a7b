//! Comma and tab separated values with a header, every cell text.
//!
//! Read by the `csv` crate and not by polars: it streams, and knows the line of every row, which an error needs.

use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::csv::{ByteRecord, Reader, ReaderBuilder};

use super::bytes::{Bytes, no_rows};
use super::table::{BATCH_BYTES, BATCH_ROWS, Column, RawRow, Rows, SAMPLE_ROWS, first_cells};
use crate::DataError;
use crate::record::{Source, Value};

/// The longest row that is read: a quote that is never closed must not fill the memory.
const LONGEST_ROW: usize = 256 << 20;

pub(super) struct Csv {
    path: PathBuf,
    file: Arc<str>,
    codec: Option<&'static str>,
    reader: Reader<Limited>,
    columns: Vec<Column>,
    /// for each chosen column its place in the file
    chosen: Vec<Option<usize>>,
    waiting: Vec<ByteRecord>,
    row: usize,
}

impl Csv {
    pub(super) fn open(path: &Path, file: &Arc<str>, bytes: Bytes, delimiter: u8) -> Result<Self, DataError> {
        let codec = bytes.codec();
        let limited = Limited { inner: bytes.into_reader(), left: LONGEST_ROW };
        let mut builder = ReaderBuilder::new();
        let reader = builder.delimiter(delimiter).flexible(true).buffer_capacity(1 << 18).from_reader(limited);
        let mut rows = Self {
            path: path.to_owned(),
            file: file.clone(),
            codec,
            reader,
            columns: Vec::new(),
            chosen: Vec::new(),
            waiting: Vec::new(),
            row: 0,
        };
        let names = rows.header()?;
        rows.waiting = rows.read_records(SAMPLE_ROWS)?;
        if rows.waiting.is_empty() {
            return Err(no_rows(path, "the file has no rows below its header"));
        }
        let cells = |record: &ByteRecord| record.iter().map(|cell| text(cell).unwrap_or_default()).collect();
        rows.columns = first_cells(names, rows.waiting.iter().map(cells));
        Ok(rows)
    }

    fn header(&mut self) -> Result<Vec<String>, DataError> {
        let header = match self.reader.byte_headers() {
            Ok(header) => header.clone(),
            Err(error) => return Err(self.failed(&error)),
        };
        let refuse = |reason: String| DataError::File { path: self.path.clone(), reason };
        let mut names: Vec<String> = Vec::new();
        for cell in &header {
            let Ok(name) = std::str::from_utf8(cell) else {
                return Err(refuse("the header is not UTF-8; save the file as UTF-8".to_owned()));
            };
            if names.iter().any(|other| other == name) {
                return Err(refuse(format!("the header names the column `{name}` twice; rename one")));
            }
            names.push(name.to_owned());
        }
        Ok(names)
    }

    fn read_records(&mut self, most: usize) -> Result<Vec<ByteRecord>, DataError> {
        let (mut records, mut bytes) = (Vec::new(), 0);
        while records.len() < most && bytes < BATCH_BYTES {
            self.reader.get_mut().left = LONGEST_ROW;
            let mut record = ByteRecord::new();
            match self.reader.read_byte_record(&mut record) {
                Ok(true) => {
                    bytes += record.as_slice().len();
                    records.push(record);
                }
                Ok(false) => break,
                Err(error) => return Err(self.failed(&error)),
            }
        }
        Ok(records)
    }

    fn cells(&self, record: &ByteRecord) -> Result<Vec<Value>, String> {
        if record.len() != self.columns.len() {
            let (found, expected) = (record.len(), self.columns.len());
            return Err(format!("the row has {found} cells where the header has {expected}; quote cells with separators"));
        }
        let cell = |at: &Option<usize>| match at.and_then(|at| record.get(at)) {
            Some(cell) => text(cell).ok_or("a cell is not UTF-8; save the file as UTF-8"),
            None => Ok(Value::Null),
        };
        Ok(self.chosen.iter().map(cell).collect::<Result<_, _>>()?)
    }

    fn failed(&self, error: &::csv::Error) -> DataError {
        let reason = match self.codec {
            Some(codec) => format!("the {codec} data is damaged or cut short: {error}; fetch the file again"),
            None => format!("cannot be read: {error}"),
        };
        DataError::File { path: self.path.clone(), reason }
    }
}

impl Rows for Csv {
    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn choose(&mut self, columns: &[String]) -> Result<(), DataError> {
        let place = |name: &String| self.columns.iter().position(|column| column.name == *name);
        self.chosen = columns.iter().map(place).collect();
        Ok(())
    }

    fn next_rows(&mut self) -> Result<Option<Vec<RawRow>>, DataError> {
        let mut records = std::mem::take(&mut self.waiting);
        if records.is_empty() {
            records = self.read_records(BATCH_ROWS)?;
        }
        if records.is_empty() {
            return Ok(None);
        }
        let mut rows = Vec::with_capacity(records.len());
        for record in &records {
            self.row += 1;
            let line = record.position().map(|position| position.line() as usize);
            let source = Source { file: self.file.clone(), row: self.row, line };
            rows.push(RawRow { source, cells: self.cells(record) });
        }
        Ok(Some(rows))
    }
}

fn text(cell: &[u8]) -> Option<Value> {
    std::str::from_utf8(cell).ok().map(Value::from)
}

/// A reader that ends in an error where a row is too long.
struct Limited {
    inner: Box<dyn BufRead + Send>,
    left: usize,
}

impl Read for Limited {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 {
            let reason = format!("a row is longer than {LONGEST_ROW} bytes; is a quote not closed?");
            return Err(std::io::Error::other(reason));
        }
        let most = buffer.len().min(self.left);
        let read = self.inner.read(&mut buffer[..most])?;
        self.left -= read;
        Ok(read)
    }
}
