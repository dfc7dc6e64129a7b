//! Which format a file has, from its columns and their first cells.

use super::row::typed;
use super::{Format, Spec, Want, specs};
use crate::DataError;
use crate::record::Value;

/// Columns of a file under the names that formats know, each with its first cell that is not null.
pub(crate) struct Seen<'a> {
    pub(crate) columns: Vec<(&'a str, Option<&'a Value>)>,
    /// True where every cell is text and other kinds are to be read from it.
    pub(crate) untyped: bool,
}

impl Seen<'_> {
    /// True where the file has the column.
    pub(super) fn has(&self, name: &str) -> bool {
        self.columns.iter().any(|(there, _)| *there == name)
    }

    /// The first text in a column.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.columns.iter().find(|(there, _)| *there == name).and_then(|(_, first)| first.and_then(Value::text))
    }

    /// True where the first cell of any column is so.
    pub(super) fn any(&self, is: impl Fn(&Value) -> bool) -> bool {
        self.columns.iter().any(|(_, first)| first.is_some_and(&is))
    }

    /// The wrong kind of cell in a column, in words; `None` where the column can be read.
    fn wrong(&self, name: &str, want: Want) -> Option<String> {
        let (_, first) = self.columns.iter().find(|(there, _)| *there == name)?;
        let first = (*first)?;
        let fits = match first {
            Value::Text(text) if self.untyped => typed(name, text.clone(), want).is_ok(),
            cell => want.accepts(cell),
        };
        (!fits).then(|| format!("holds {}; {} was expected", first.kind(), want.name()))
    }

    fn fits(&self, spec: &Spec) -> bool {
        spec.required.iter().all(|(name, want)| self.has(name) && self.wrong(name, *want).is_none())
            && spec.holds.is_none_or(|holds| holds(self))
    }
}

/// Finds the format of a file: the one that is asked for, or the one that fits.
///
/// # Errors
/// No format fits: the column that the nearest one misses, or the cell that it cannot read. Several fit.
pub(crate) fn detect(file: &str, seen: &Seen<'_>, format: Format) -> Result<&'static Spec, DataError> {
    let all = specs();
    if format != Format::Auto {
        let variants: Vec<&'static Spec> = all.into_iter().filter(|spec| spec.format == format).collect();
        // what else holds of a format tells it from others, which is not in question here
        let fits = |spec: &&&'static Spec| {
            spec.required.iter().all(|(name, want)| seen.has(name) && seen.wrong(name, *want).is_none())
        };
        return match variants.iter().find(fits) {
            Some(spec) => Ok(spec),
            None => Err(nearest(file, seen, &variants, true)),
        };
    }
    let fits: Vec<&'static Spec> = all.iter().copied().filter(|spec| seen.fits(spec)).collect();
    let beaten = |spec: &Spec| fits.iter().any(|other| other.before.contains(&spec.format));
    let mut best: Vec<&'static Spec> = fits.iter().copied().filter(|spec| !beaten(spec)).collect();
    // variants of one format stand in the order in which they are preferred
    best.dedup_by_key(|spec| spec.format);
    match &best[..] {
        [] => Err(nearest(file, seen, &all, false)),
        [one] => Ok(one),
        several => {
            let names: Vec<String> = several.iter().map(|spec| format!("`{}`", spec.format)).collect();
            Err(DataError::AmbiguousFormat { file: file.to_owned(), formats: names.join(", ") })
        }
    }
}

/// The error that helps most: of the format that most columns speak for.
fn nearest(file: &str, seen: &Seen<'_>, among: &[&'static Spec], asked: bool) -> DataError {
    let hits = |spec: &&&Spec| spec.required.iter().filter(|(name, _)| seen.has(name)).count();
    let share = |spec: &&&Spec| (hits(spec) * 1000 / spec.required.len().max(1), hits(spec));
    let nearest = among.iter().rev().max_by_key(share).filter(|spec| asked || hits(spec) > 0);
    let present: Vec<String> = seen.columns.iter().map(|(name, _)| (*name).to_owned()).collect();
    let Some(spec) = nearest else {
        let columns = present.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        return DataError::UnknownFormat { file: file.to_owned(), columns };
    };
    if let Some((missing, _)) = spec.required.iter().find(|(name, _)| !seen.has(name)) {
        return DataError::MissingColumn {
            file: file.to_owned(),
            column: (*missing).to_owned(),
            format: spec.format.to_string(),
            present: crate::near::listed(missing, &present),
        };
    }
    let wrong = spec.required.iter().find_map(|(name, want)| Some((*name, seen.wrong(name, *want)?)));
    let (column, reason) = wrong.unwrap_or_else(|| ("", "holds nothing by which to tell the format".to_owned()));
    let reason = format!("{reason} by the format `{}`; name another `format` or change the file", spec.format);
    DataError::Column { file: file.to_owned(), column: column.to_owned(), reason }
}
