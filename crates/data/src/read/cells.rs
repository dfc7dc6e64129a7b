//! Cells of a data frame's column as texts.

use polars::prelude::*;

use super::frame::Table;
use crate::DataError;
use crate::record::{Message, Text};

/// All cells of a column of strings, or of lists of `{role, content}`.
pub(super) fn texts(table: &Table, name: &str) -> Result<Vec<Text>, DataError> {
    let bad = |error: PolarsError| column(table, name, error.to_string());
    let cells = table.frame.column(name).map_err(bad)?;
    match cells.dtype() {
        DataType::String => {
            let cells = cells.str().map_err(bad)?;
            let filled = cells.iter().enumerate();
            filled.map(|(i, cell)| Ok(Text::Plain(present(table, name, i, cell)?.to_owned()))).collect()
        }
        DataType::List(inner) if inner.is_struct() => {
            let cells = cells.list().map_err(bad)?;
            (0..cells.len())
                .map(|i| Ok(Text::Chat(messages(table, name, i, &present(table, name, i, cells.get_as_series(i))?)?)))
                .collect()
        }
        other => {
            let reason = format!("has type {other}; text or a list of messages with `role` and `content` was expected");
            Err(column(table, name, reason))
        }
    }
}

/// All cells of a column of numbers.
pub(super) fn numbers(table: &Table, name: &str) -> Result<Vec<f64>, DataError> {
    let bad = |error: PolarsError| column(table, name, error.to_string());
    let cells = table.frame.column(name).map_err(bad)?;
    if !cells.dtype().is_primitive_numeric() && !cells.dtype().is_bool() {
        return Err(column(table, name, format!("has type {}; numbers were expected", cells.dtype())));
    }
    let cells = cells.strict_cast(&DataType::Float64).map_err(bad)?;
    let cells = cells.f64().map_err(bad)?.iter().enumerate();
    cells
        .map(|(i, cell)| match present(table, name, i, cell)? {
            value if value.is_finite() => Ok(value),
            value => {
                let reason = format!("column `{name}` is {value}; fix or remove the row");
                Err(DataError::row(&table.source(i), reason))
            }
        })
        .collect()
}

fn messages(table: &Table, name: &str, index: usize, list: &Series) -> Result<Vec<Message>, DataError> {
    let bad = |error: PolarsError| column(table, name, format!("messages need text under `role` and `content`: {error}"));
    let fields = list.struct_().map_err(bad)?;
    let (roles, contents) = (fields.field_by_name("role").map_err(bad)?, fields.field_by_name("content").map_err(bad)?);
    let pairs = roles.str().map_err(bad)?.iter().zip(contents.str().map_err(bad)?.iter());
    pairs
        .enumerate()
        .map(|(at, (role, content))| match (role, content) {
            (Some(role), Some(content)) => Ok(Message::new(role, content)),
            _ => {
                let reason = format!("column `{name}`: message {} lacks `role` or `content`; fix or remove the row", at + 1);
                Err(DataError::row(&table.source(index), reason))
            }
        })
        .collect()
}

fn present<T>(table: &Table, name: &str, index: usize, cell: Option<T>) -> Result<T, DataError> {
    cell.ok_or_else(|| {
        let reason = format!("column `{name}` is null or missing; fix or remove the row");
        DataError::row(&table.source(index), reason)
    })
}

fn column(table: &Table, name: &str, reason: String) -> DataError {
    DataError::Column { file: table.file.to_string(), column: name.to_owned(), reason }
}
