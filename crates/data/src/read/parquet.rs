//! Parquet files, a few thousand rows at a time.
//!
//! Slices of row groups are asked of polars' eager reader; its lazy engine would do the same behind a query planner
//! that takes minutes to compile.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use polars::io::SerReader;
use polars::prelude::*;

use super::bytes::{failed, no_rows};
use super::cells;
use super::columnar::{Chosen, guard};
use super::table::{Column, RawRow, Rows, SAMPLE_ROWS};
use crate::DataError;

/// Bytes of a batch before compression, by the file's own figures.
const SLICE_BYTES: usize = 16 << 20;
/// Rows of a batch at most: fewer would have the reader pass over the pages of a row group too often.
const SLICE_ROWS: usize = 1 << 13;

pub(super) struct Parquet {
    path: PathBuf,
    file: Arc<str>,
    metadata: Arc<polars::io::parquet::read::FileMetadata>,
    columns: Vec<Column>,
    chosen: Chosen,
    /// rows of the file that end a row group
    ends: Vec<usize>,
    slice: usize,
    row: usize,
}

impl Parquet {
    pub(super) fn open(path: &Path, file: &Arc<str>) -> Result<Self, DataError> {
        let source = File::open(path).map_err(|error| failed(path, &error))?;
        let metadata = guard(path, || ParquetReader::new(source).get_metadata().cloned())?;
        let (mut ends, mut bytes) = (Vec::new(), 0usize);
        let mut row = 0usize;
        for group in &metadata.row_groups {
            row = row.saturating_add(group.num_rows());
            bytes = bytes.saturating_add(group.total_byte_size());
            ends.push(row);
        }
        if row == 0 {
            return Err(no_rows(path, "the file has no rows"));
        }
        if row != metadata.num_rows {
            let reason = format!("its row groups have {row} rows, its footer says {}; it is damaged", metadata.num_rows);
            return Err(DataError::File { path: path.to_owned(), reason });
        }
        let slice = (SLICE_BYTES / (bytes / row).max(1)).clamp(SAMPLE_ROWS, SLICE_ROWS);
        let (path, file) = (path.to_owned(), file.clone());
        let schema = guard(&path, || polars::io::parquet::read::infer_schema(&metadata))?;
        let readable = schema.iter().filter(|(_, field)| cells::problem(field.dtype(), 0).is_none());
        let readable: Vec<String> = readable.map(|(name, _)| name.to_string()).collect();
        let chosen = Chosen::default();
        let mut rows = Self { path, file, metadata, columns: Vec::new(), chosen, ends, slice, row: 0 };
        let sample = rows.read(0, SAMPLE_ROWS.min(row), readable)?;
        rows.columns = guard(&rows.path, || Ok(cells::columns(&schema, &sample)))?;
        Ok(rows)
    }

    fn read(&self, from: usize, count: usize, columns: Vec<String>) -> Result<Vec<Series>, DataError> {
        if columns.is_empty() {
            return Ok(Vec::new());
        }
        let source = File::open(&self.path).map_err(|error| failed(&self.path, &error))?;
        let frame = guard(&self.path, || {
            let mut reader = ParquetReader::new(source);
            reader.set_metadata(self.metadata.clone());
            reader.with_columns(Some(columns)).with_slice(Some((from, count))).finish()
        })?;
        let series: Vec<Series> = frame.columns().iter().map(|column| column.as_materialized_series().clone()).collect();
        match series.iter().find(|series| series.len() != count) {
            Some(short) => {
                let reason =
                    format!("column `{}` has {} of {count} rows from row {from}; it is damaged", short.name(), short.len());
                Err(DataError::File { path: self.path.clone(), reason })
            }
            None => Ok(series),
        }
    }
}

impl Rows for Parquet {
    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn choose(&mut self, columns: &[String]) -> Result<(), DataError> {
        self.chosen = Chosen::new(&self.file, &self.columns, columns)?;
        Ok(())
    }

    fn next_rows(&mut self) -> Result<Option<Vec<RawRow>>, DataError> {
        let Some(&end) = self.ends.iter().find(|end| **end > self.row) else {
            return Ok(None);
        };
        let count = self.slice.min(end - self.row);
        let series = self.read(self.row, count, self.chosen.names())?;
        let rows = self.chosen.rows(&self.path, &self.file, &series, self.row, count)?;
        self.row += count;
        Ok(Some(rows))
    }
}
