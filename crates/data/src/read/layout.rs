//! From a file's columns to the format's: names, kinds, and which to read.

use super::ReadOptions;
use super::options::ImplicitPrompt;
use super::table::{Column, Table};
use crate::DataError;
use crate::formats::{Format, Seen, Spec, detect};
use crate::near;

/// How the rows of one file are read.
pub(super) struct Layout {
    pub(super) spec: &'static Spec,
    /// Names of the cells of a row: the format's columns, then the columns of numbers.
    pub(super) names: Vec<String>,
    /// How many of the cells belong to the format.
    pub(super) own: usize,
}

impl Layout {
    /// Finds the format of an opened file and chooses the columns to read.
    pub(super) fn find(table: &mut Table, options: &ReadOptions, format: Format) -> Result<Self, DataError> {
        let file = table.file.clone();
        let columns = table.rows.columns();
        let view = view(&file, columns, options)?;
        let seen = Seen {
            columns: view.iter().map(|(name, column)| (name.as_str(), column.first.as_ref())).collect(),
            untyped: table.untyped,
        };
        let spec = detect(&file, &seen, format).map_err(|error| taken(error, options))?;
        check_use(spec, options)?;
        let mut chosen: Vec<(String, String)> = match spec.all_columns {
            true => view.iter().map(|(name, column)| (name.clone(), column.name.clone())).collect(),
            false => spec.wanted().map(|(name, _)| (name.to_owned(), file_name(name, columns, options))).collect(),
        };
        let own = chosen.len();
        for number in &options.numbers {
            if !columns.iter().any(|column| column.name == *number) {
                return Err(missing(&file, number, spec, columns));
            }
            chosen.push((number.clone(), number.clone()));
        }
        let (names, files): (Vec<String>, Vec<String>) = chosen.into_iter().unzip();
        table.rows.choose(&files)?;
        Ok(Self { spec, names, own })
    }
}

/// Columns under the names that formats know.
fn view<'a>(file: &str, columns: &'a [Column], options: &ReadOptions) -> Result<Vec<(String, &'a Column)>, DataError> {
    let mut found = Vec::new();
    for (name, mapped) in options.columns.iter() {
        let Some(column) = columns.iter().find(|column| column.name == mapped) else {
            let present: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
            let present = near::listed(mapped, &present);
            let (file, column, format) = (file.to_owned(), mapped.to_owned(), options.format.to_string());
            return Err(DataError::MissingColumn { file, column, format, present });
        };
        found.push((name.to_owned(), column));
    }
    for column in columns {
        let name = &column.name;
        if options.columns.iter().all(|(mapped, file)| mapped != name && file != name) {
            found.push((name.clone(), column));
        }
    }
    Ok(found)
}

/// The file's name of a format's column; a name that no file has where another name took the column.
fn file_name(name: &str, columns: &[Column], options: &ReadOptions) -> String {
    match options.columns.file_name(name) {
        Some(mapped) => mapped.to_owned(),
        None if options.columns.iter().any(|(_, file)| file == name) => {
            let longest = columns.iter().map(|column| column.name.len()).max().unwrap_or_default();
            "-".repeat(longest + 1)
        }
        None => name.to_owned(),
    }
}

/// A column that is missing because another name took it says so.
fn taken(error: DataError, options: &ReadOptions) -> DataError {
    let DataError::MissingColumn { column, format, .. } = &error else {
        return error;
    };
    match options.columns.iter().find(|(_, file)| file == column) {
        Some((name, file)) => {
            let reason =
                format!("the format `{format}` reads that as `{file}`; set `columns.{file}` too, or another column here");
            DataError::config(&format!("columns.{name}"), file, reason)
        }
        None => error,
    }
}

/// Options that the format does not read are mistakes.
fn check_use(spec: &Spec, options: &ReadOptions) -> Result<(), DataError> {
    let names: Vec<&str> = spec.wanted().map(|(name, _)| name).collect();
    for (name, file) in options.columns.iter() {
        if !spec.all_columns && !names.contains(&name) {
            let reason =
                format!("the format `{}` reads no column `{name}`; it reads {}", spec.format, near::listed(name, &names));
            return Err(DataError::config(&format!("columns.{name}"), file, reason));
        }
    }
    if options.implicit_prompt == ImplicitPrompt::Shared && spec.format != Format::Preference {
        let reason = format!("the format `{}` has no prompt to look for; leave it out", spec.format);
        return Err(DataError::config("implicit_prompt", "shared", reason));
    }
    Ok(())
}

fn missing(file: &str, column: &str, spec: &Spec, columns: &[Column]) -> DataError {
    let present: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let present = near::listed(column, &present);
    DataError::MissingColumn { file: file.to_owned(), column: column.to_owned(), format: spec.format.to_string(), present }
}
