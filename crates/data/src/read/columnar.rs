//! What Parquet and Arrow files share: rows from columns, and a guard around their readers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use polars::prelude::*;
use rayon::prelude::*;

use super::cells;
use super::table::{Column, RawRow};
use crate::DataError;
use crate::record::{Source, Value};

/// Runs a reader of polars. Some of its checks of a file are assertions, so a damaged file can end in a panic; this is
/// the border at which it becomes an error.
pub(super) fn guard<T>(path: &Path, work: impl FnOnce() -> PolarsResult<T>) -> Result<T, DataError> {
    let reason = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(found)) => return Ok(found),
        Ok(Err(error)) => error.to_string(),
        Err(panic) => match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
            (Some(text), _) => (*text).to_owned(),
            (_, Some(text)) => text.clone(),
            _ => "the reader failed".to_owned(),
        },
    };
    let reason = format!("cannot be read, it is damaged or cut short: {reason}; fetch the file again");
    Err(DataError::File { path: path.to_owned(), reason })
}

/// The columns that were asked for, in that order, `None` for those that the file does not have.
#[derive(Default)]
pub(super) struct Chosen(Vec<Option<String>>);

impl Chosen {
    pub(super) fn new(file: &str, columns: &[Column], wanted: &[String]) -> Result<Self, DataError> {
        let mut found = Vec::new();
        for name in wanted {
            let column = columns.iter().find(|column| column.name == *name);
            if let Some(reason) = column.and_then(|column| column.problem.clone()) {
                return Err(DataError::Column { file: file.to_owned(), column: name.clone(), reason });
            }
            found.push(column.map(|column| column.name.clone()));
        }
        Ok(Self(found))
    }

    /// The names that the file has.
    pub(super) fn names(&self) -> Vec<String> {
        self.0.iter().flatten().cloned().collect()
    }

    /// Rows of a batch of `height` rows whose first is row `first` of the file, from 0.
    pub(super) fn rows(
        &self,
        path: &Path,
        file: &Arc<str>,
        series: &[Series],
        first: usize,
        height: usize,
    ) -> Result<Vec<RawRow>, DataError> {
        let read = |name: &Option<String>| match series.iter().find(|series| Some(series.name().as_str()) == name.as_deref())
        {
            Some(series) => guard(path, || Ok(cells::values(series)))?.map_err(|reason| DataError::Column {
                file: file.to_string(),
                column: series.name().to_string(),
                reason,
            }),
            None => Ok(vec![Value::Null; height]),
        };
        let columns = self.0.par_iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let mut columns: Vec<_> = columns.into_iter().map(Vec::into_iter).collect();
        let row = |at: usize| RawRow {
            source: Source { file: file.clone(), row: first + at + 1, line: None },
            cells: Ok(columns.iter_mut().map(|cells| cells.next().unwrap_or_default()).collect()),
        };
        Ok((0..height).map(row).collect())
    }
}
