//! Records from files, batch by batch.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use super::inputs::files_of;
use super::layout::Layout;
use super::options::{BrokenRows, ImplicitPrompt, ReadOptions};
use super::table::{RawRow, Table};
use crate::DataError;
use crate::audit::Audit;
use crate::formats::{Fault, Format, Row};
use crate::record::{Record, Source, Value};

/// Reasons of broken rows that the audit tells apart; damage can have as many reasons as a file has rows.
const REASONS: usize = 16;

/// Reads records from a file, a folder or a pattern, in batches, so that memory is bounded by the batches and not by
/// the files.
///
/// Files are read one after the other, in the order of [`files_of`]; all must have the format of the first. The
/// iterator ends after an error. What was left out is in [`RecordReader::audit`], complete when the iterator has ended.
///
/// ```
/// use std::io::Write;
/// use tropism_data::formats::Format;
/// use tropism_data::read::{ReadOptions, RecordReader};
/// let mut file = tempfile::NamedTempFile::with_suffix(".jsonl")?;
/// writeln!(file, r#"{{"prompt": "2 + 2 =", "completion": " 4", "label": true}}"#)?;
/// let mut reader = RecordReader::open(file.path(), &ReadOptions::default())?;
/// assert_eq!(reader.format(), Format::Unpaired);
/// let mut count = 0;
/// for batch in &mut reader {
///     count += batch?.len();
/// }
/// assert_eq!((count, reader.audit().kept), (1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RecordReader {
    what: String,
    files: VecDeque<PathBuf>,
    options: ReadOptions,
    format: Format,
    open: Option<(Table, Layout)>,
    audit: Audit,
    /// the record that the next rows may belong to
    held: Option<Record>,
    /// whether the first record was of messages, and where it stood
    chat: Option<(bool, Source)>,
    /// for each column of numbers whether its first cell was true or false
    flags: Vec<Option<bool>>,
    /// every row ends here: at the limit, at the end of the files, or at an error
    ended: bool,
}

impl RecordReader {
    /// Opens the first file and finds the format.
    ///
    /// # Errors
    /// A path that stands for no file; a file that is empty, damaged or of unknown kind; columns that no format fits, or
    /// several; options that make no sense.
    pub fn open(path: &Path, options: &ReadOptions) -> Result<Self, DataError> {
        Self::open_files(path.display().to_string(), files_of(path)?, options)
    }

    /// Opens the first of several files, which are read in the order given.
    ///
    /// # Errors
    /// As for [`RecordReader::open`].
    pub fn open_all(paths: &[PathBuf], options: &ReadOptions) -> Result<Self, DataError> {
        let mut files = Vec::new();
        for path in paths {
            files.extend(files_of(path)?);
        }
        let what = paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
        Self::open_files(what, files, options)
    }

    fn open_files(what: String, files: Vec<PathBuf>, options: &ReadOptions) -> Result<Self, DataError> {
        options.check()?;
        let mut reader = Self {
            what,
            files: files.into(),
            options: options.clone(),
            format: options.format,
            open: None,
            audit: Audit::default(),
            held: None,
            chat: None,
            flags: vec![None; options.numbers.len()],
            ended: false,
        };
        reader.next_file()?;
        Ok(reader)
    }

    /// The format that the files have.
    pub fn format(&self) -> Format {
        self.format
    }

    /// What has been read and left out so far.
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Opens the next file; false where there is none.
    fn next_file(&mut self) -> Result<bool, DataError> {
        let Some(path) = self.files.pop_front() else {
            return Ok(false);
        };
        let mut table = Table::open(&path)?;
        let layout = Layout::find(&mut table, &self.options, self.format)?;
        self.format = layout.spec.format;
        self.open = Some((table, layout));
        Ok(true)
    }

    /// Rows of the files until there are any records, or the end.
    fn advance(&mut self) -> Result<Option<Vec<Record>>, DataError> {
        let mut batch = Vec::new();
        while batch.is_empty() {
            let left = self.options.limit.unwrap_or(usize::MAX) - self.audit.read;
            let rows = match &mut self.open {
                Some((table, _)) if left > 0 => table.rows.next_rows()?,
                _ => None,
            };
            match rows {
                Some(rows) => rows.into_iter().take(left).try_for_each(|row| self.add(row, &mut batch))?,
                None => {
                    batch.extend(self.held.take());
                    self.open = None;
                    if left == 0 || !self.next_file()? {
                        self.ended = true;
                        break;
                    }
                }
            }
        }
        if self.ended && self.audit.kept == 0 {
            return Err(none_left(&self.what, &self.audit));
        }
        Ok((!batch.is_empty()).then_some(batch))
    }

    /// Turns a row into a record and adds it to the batch, or to the record before it.
    fn add(&mut self, row: RawRow, batch: &mut Vec<Record>) -> Result<(), DataError> {
        let source = row.source.clone();
        match self.record(row) {
            Ok((record, notes)) => {
                self.audit.keep();
                notes.into_iter().for_each(|note| self.audit.note(note, source.row));
                self.place(record, batch);
            }
            Err(Fault::Unusable(reason)) => self.audit.drop_row(&reason, source.row),
            Err(Fault::Broken(reason)) if self.options.broken_rows == BrokenRows::Stop => {
                return Err(DataError::Row { at: source, reason });
            }
            Err(Fault::Broken(reason)) => {
                let reason = format!("broken row: {reason}");
                let many = self.audit.dropped.len() >= REASONS && !self.audit.dropped.contains_key(&reason);
                self.audit.drop_row(if many { "broken row: other reasons" } else { &reason }, source.row);
            }
        }
        Ok(())
    }

    fn place(&mut self, record: Record, batch: &mut Vec<Record>) {
        if !self.open.as_ref().is_some_and(|(_, layout)| layout.spec.merge) {
            batch.push(record);
            return;
        }
        match &mut self.held {
            Some(held) if held.prompt == record.prompt => {
                self.audit.note("row joined to the one before, which has the same prompt", record.source.row);
                held.responses.extend(record.responses);
            }
            _ => batch.extend(self.held.replace(record)),
        }
    }

    fn record(&mut self, row: RawRow) -> Result<(Record, Vec<&'static str>), Fault> {
        let Some((table, layout)) = &self.open else {
            return Err(Fault::Broken("no file is open".to_owned()));
        };
        let mut cells = row.cells.map_err(Fault::Broken)?;
        let numbers = cells.split_off(layout.own);
        let names = &layout.names[..layout.own];
        let mut row = Row {
            source: row.source,
            names,
            cells,
            untyped: table.untyped,
            prompt_named: self.options.columns.file_name("prompt").is_some(),
            share_prompt: self.options.implicit_prompt == ImplicitPrompt::Shared,
            notes: Vec::new(),
        };
        let mut record = (layout.spec.read)(&mut row)?;
        let notes = row.notes;
        for (at, (name, cell)) in layout.names[layout.own..].iter().zip(numbers).enumerate() {
            let value = number(name, &cell, table.untyped, &mut self.flags[at])?;
            record.numbers.insert(name.clone(), value);
        }
        if let Some(reason) = record.problem() {
            return Err(Fault::from(reason));
        }
        check_kind(&record, &mut self.chat)?;
        Ok((record, notes))
    }
}

/// One file is text or messages, not both.
fn check_kind(record: &Record, first: &mut Option<(bool, Source)>) -> Result<(), Fault> {
    let chat = record.responses.first().map_or(record.prompt.is_chat(), |response| response.content.is_chat());
    let (before, at) = first.get_or_insert_with(|| (chat, record.source.clone()));
    if *before == chat {
        return Ok(());
    }
    let name = |chat: bool| if chat { "messages" } else { "text" };
    Err(Fault::Broken(format!("holds {}, {at} holds {}; use one kind for all rows", name(chat), name(*before))))
}

/// A cell of a column of numbers; true and false are 1 and 0, but not beside numbers.
fn number(name: &str, cell: &Value, untyped: bool, flags: &mut Option<bool>) -> Result<f64, Fault> {
    let parsed = match cell {
        Value::Text(text) if untyped => text.trim().parse().ok().map(Value::Float),
        _ => None,
    };
    let cell = parsed.as_ref().unwrap_or(cell);
    let (value, flag) = match cell {
        Value::Bool(value) => (f64::from(*value), true),
        Value::Null => return Err(Fault::Broken(format!("column `{name}` is null or missing; fix or remove the row"))),
        other => match other.number() {
            Some(value) if value.is_finite() => (value, false),
            Some(value) => return Err(Fault::Broken(format!("column `{name}` is {value}; fix or remove the row"))),
            None => return Err(Fault::Broken(format!("column `{name}` holds {}; a number was expected", other.kind()))),
        },
    };
    if *flags.get_or_insert(flag) != flag {
        return Err(Fault::Broken(format!("column `{name}` holds numbers and also true or false; use one kind")));
    }
    Ok(value)
}

/// The error where every row was left out.
pub(super) fn none_left(what: &str, audit: &Audit) -> DataError {
    let reason = match audit.read {
        0 => "there are none".to_owned(),
        read => format!("all {read} rows were left out ({})", audit.reasons()),
    };
    DataError::NoRows { what: format!("file {what}"), reason }
}

impl Iterator for RecordReader {
    type Item = Result<Vec<Record>, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let found = self.advance();
        self.ended |= found.is_err();
        found.transpose()
    }
}
