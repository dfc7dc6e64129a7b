//! Arrow IPC, with a footer or as a stream, one record batch at a time.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use polars::prelude::*;
use polars_arrow::array::ArrayRef;
use polars_arrow::io::ipc::read::{
    FileMetadata, FileReader, StreamReader, StreamState, read_file_metadata, read_stream_metadata,
};
use polars_arrow::record_batch::RecordBatchT;

use super::bytes::{failed, no_rows};
use super::cells;
use super::columnar::{Chosen, guard};
use super::table::{BATCH_ROWS, Column, RawRow, Rows, SAMPLE_ROWS};
use crate::DataError;

/// Readers of the two kinds.
enum Batches {
    File(FileReader<BufReader<File>>),
    Stream(StreamReader<BufReader<File>>),
}

pub(super) struct Arrow {
    path: PathBuf,
    file: Arc<str>,
    batches: Batches,
    columns: Vec<Column>,
    chosen: Chosen,
    /// the record batch that is being handed out, and how many of its rows are
    current: Vec<Series>,
    height: usize,
    given: usize,
    row: usize,
}

impl Arrow {
    pub(super) fn open_file(path: &Path, file: &Arc<str>) -> Result<Self, DataError> {
        let mut reader = open(path)?;
        let metadata = guard(path, || read_file_metadata(&mut reader))?;
        check_blocks(path, &metadata)?;
        Self::new(path, file, Batches::File(FileReader::new(reader, metadata, None, None)))
    }

    pub(super) fn open_stream(path: &Path, file: &Arc<str>) -> Result<Self, DataError> {
        let mut reader = open(path)?;
        let metadata = guard(path, || read_stream_metadata(&mut reader))?;
        Self::new(path, file, Batches::Stream(StreamReader::new(reader, metadata, None)))
    }

    fn new(path: &Path, file: &Arc<str>, batches: Batches) -> Result<Self, DataError> {
        let (path, file) = (path.to_owned(), file.clone());
        let schema = match &batches {
            Batches::File(reader) => reader.schema().clone(),
            Batches::Stream(reader) => reader.schema().clone(),
        };
        let (chosen, current) = (Chosen::default(), Vec::new());
        let mut rows = Self { path, file, batches, columns: Vec::new(), chosen, current, height: 0, given: 0, row: 0 };
        if !rows.advance()? {
            return Err(no_rows(&rows.path, "the file has no rows"));
        }
        let sample: Vec<Series> = rows.current.iter().map(|series| series.head(Some(SAMPLE_ROWS))).collect();
        rows.columns = guard(&rows.path, || Ok(cells::columns(&schema, &sample)))?;
        Ok(rows)
    }

    /// Takes up the next record batch that has rows.
    fn advance(&mut self) -> Result<bool, DataError> {
        loop {
            let Some(batch) = self.next_batch()? else {
                return Ok(false);
            };
            (self.height, self.given) = (batch.len(), 0);
            let (schema, arrays) = batch.into_schema_and_arrays();
            let readable = schema.iter_values().zip(arrays).filter(|(field, _)| cells::problem(field.dtype(), 0).is_none());
            let series = |(field, array): (&ArrowField, ArrayRef)| Series::try_from((field.name.clone(), vec![array]));
            self.current = guard(&self.path, || readable.map(series).collect())?;
            if self.height > 0 {
                return Ok(true);
            }
        }
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatchT<ArrayRef>>, DataError> {
        guard(&self.path, || match &mut self.batches {
            Batches::File(reader) => reader.next().transpose(),
            Batches::Stream(reader) => match reader.next().transpose()? {
                Some(StreamState::Some(batch)) => Ok(Some(batch)),
                // what a stream is meant for, but a file that ends so may have lost any number of rows
                Some(StreamState::Waiting) => Err(polars_err!(ComputeError: "the stream has no end mark")),
                None => Ok(None),
            },
        })
    }
}

impl Rows for Arrow {
    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn choose(&mut self, columns: &[String]) -> Result<(), DataError> {
        self.chosen = Chosen::new(&self.file, &self.columns, columns)?;
        Ok(())
    }

    fn next_rows(&mut self) -> Result<Option<Vec<RawRow>>, DataError> {
        if self.given == self.height && !self.advance()? {
            return Ok(None);
        }
        let count = BATCH_ROWS.min(self.height - self.given);
        let slice = |series: &Series| series.slice(self.given as i64, count);
        let series: Vec<Series> = self.current.iter().map(slice).collect();
        let rows = self.chosen.rows(&self.path, &self.file, &series, self.row, count)?;
        self.given += count;
        self.row += count;
        Ok(Some(rows))
    }
}

fn open(path: &Path) -> Result<BufReader<File>, DataError> {
    Ok(BufReader::new(File::open(path).map_err(|error| failed(path, &error))?))
}

/// Places of record batches must lie in the file: they decide how much memory is asked for.
fn check_blocks(path: &Path, metadata: &FileMetadata) -> Result<(), DataError> {
    let inside = |parts: [i64; 3]| {
        let end = parts.iter().try_fold(0i64, |sum, part| if *part < 0 { None } else { sum.checked_add(*part) });
        end.is_some_and(|end| end as u64 <= metadata.size)
    };
    let blocks = metadata.blocks.iter().chain(metadata.dictionaries.iter().flatten());
    let mut parts = blocks.map(|block| [block.offset, i64::from(block.meta_data_length), block.body_length]);
    if parts.all(inside) {
        return Ok(());
    }
    let reason = "its footer points outside the file; it is damaged or cut short, fetch it again".to_owned();
    Err(DataError::File { path: path.to_owned(), reason })
}
