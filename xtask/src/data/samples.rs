//! Rows to look at, from a prepared folder or a file of records.
use crate::error::XtaskError;
use std::path::Path;
use tropism_data::construct::dataset::{Item, Kind};
use tropism_data::output::{Prepared, Stored};
use tropism_data::read::{ReadOptions, RecordReader};
use tropism_data::record::{Record, Sample, Text};

use super::colour::Role;

/// A row to look at.
pub(super) struct Shown {
    /// what it is and where it came from
    pub(super) title: String,
    /// the completions, each with its prompt
    pub(super) sides: Vec<Side>,
    /// numbers of the row
    pub(super) numbers: Vec<(String, String)>,
}

/// A completion with its prompt.
pub(super) struct Side {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) sample: Sample,
}

/// Rows `first..first + count` (from 1) of a part of a prepared folder, or of a file.
pub(super) fn rows(
    path: &Path,
    part: &str,
    options: &ReadOptions,
    first: usize,
    count: usize,
) -> Result<Vec<Shown>, XtaskError> {
    let found = if Prepared::is(path) { prepared(path, part, first, count)? } else { records(path, options, first, count)? };
    if found.is_empty() {
        let problem = format!("{} has no row {first}", path.display());
        return Err(XtaskError::usage(problem, "rows are counted from 1; take a smaller --row"));
    }
    Ok(found)
}

fn prepared(path: &Path, part: &str, first: usize, count: usize) -> Result<Vec<Shown>, XtaskError> {
    let folder = Prepared::open(path)?;
    let kind = folder.manifest().part(part).map(|file| file.kind);
    let (mut row, mut found) = (0, Vec::new());
    folder.each(part, |stored| {
        row += 1;
        if (first..first + count).contains(&row) {
            found.push((row, stored));
        }
        Ok(())
    })?;
    Ok(found.into_iter().map(|(row, stored)| of_stored(part, row, kind, stored)).collect())
}

fn of_stored(part: &str, row: usize, kind: Option<Kind>, stored: Stored) -> Shown {
    let Stored { item, numbers, cells } = stored;
    let title = format!("{part}, row {row} of {}, from {}", kind.map_or("?", Kind::name), item.source);
    let label = numbers.get("label").copied();
    let mut figures: Vec<(String, String)> = numbers.into_iter().map(|(name, value)| (name, value.to_string())).collect();
    figures.extend(cells.into_iter().map(|(name, values)| (name, format!("{values:?}"))));
    figures.extend(item.answer.iter().map(|answer| ("answer".to_owned(), answer.clone())));
    let Item { source, prompt, rejected_prompt, tools, completions, .. } = item;
    let name = |place: usize| match (kind, place) {
        (Some(Kind::Pairs | Kind::Joint), 0) => ("chosen".to_owned(), Role::Good),
        (Some(Kind::Pairs | Kind::Joint), _) => ("rejected".to_owned(), Role::Bad),
        (Some(Kind::Unpaired), _) if label == Some(0.0) => ("undesirable".to_owned(), Role::Bad),
        (Some(Kind::Unpaired), _) => ("desirable".to_owned(), Role::Good),
        (Some(Kind::Samples), _) => ("completion".to_owned(), Role::Good),
        (_, place) => (format!("response {}", place + 1), Role::Good),
    };
    let side = |(place, completion): (usize, Text)| {
        let (name, role) = name(place);
        let prompt = rejected_prompt.as_ref().filter(|_| place > 0).unwrap_or(&prompt).clone();
        Side { name, role, sample: Sample { source: source.clone(), prompt, tools: tools.clone(), completion } }
    };
    Shown { title, sides: completions.into_iter().enumerate().map(side).collect(), numbers: figures }
}

fn records(path: &Path, options: &ReadOptions, first: usize, count: usize) -> Result<Vec<Shown>, XtaskError> {
    let limit = Some(options.limit.map_or(first + count, |limit| limit.min(first + count)));
    let mut reader = RecordReader::open(path, &ReadOptions { limit, ..options.clone() })?;
    let format = serde_json::to_value(reader.format()).ok().and_then(|f| f.as_str().map(str::to_owned)).unwrap_or_default();
    let mut records = Vec::new();
    for batch in &mut reader {
        records.extend(batch?);
    }
    let wanted = records.into_iter().enumerate().skip(first - 1).take(count);
    Ok(wanted.map(|(at, record)| of_record(&format, at + 1, record)).collect())
}

fn of_record(format: &str, row: usize, record: Record) -> Shown {
    let title = format!("record {row} of format {format}, from {}", record.source);
    let mut numbers: Vec<(String, String)> = record.numbers.iter().map(|(k, v)| (k.clone(), v.to_string())).collect();
    numbers.extend(record.answer.iter().map(|answer| ("answer".to_owned(), answer.clone())));
    let side = |(place, response): (usize, &tropism_data::record::Response)| {
        let figures = [
            response.model.clone(),
            response.score.map(|score| format!("score {score}")),
            response.rank.map(|rank| format!("rank {rank}")),
            response.label.map(|label| format!("label {label}")),
        ];
        let figures: Vec<String> = figures.into_iter().flatten().collect();
        let role =
            if response.label == Some(false) || response.rank.is_some_and(|r| r > 1.0) { Role::Bad } else { Role::Good };
        let name = format!("response {}{}{}", place + 1, if figures.is_empty() { "" } else { ": " }, figures.join(", "));
        let (source, prompt) = (record.source.clone(), record.prompt.clone());
        Side {
            name,
            role,
            sample: Sample { source, prompt, tools: record.tools.clone(), completion: response.content.clone() },
        }
    };
    Shown { sides: record.responses.iter().enumerate().map(side).collect(), title, numbers }
}
