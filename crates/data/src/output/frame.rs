//! Rows as a data frame.

use std::ops::Range;

use polars::prelude::*;

use super::cells::{number_lists, string_lists, strings, text_lists, texts};
use crate::DataError;
use crate::construct::dataset::{Dataset, Item, Kind};
use crate::record::{Record, Text};

/// What the columns of a whole part look like, so that every chunk of it has the same ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Layout {
    chat: bool,
    extras: bool,
    tools: bool,
    models: bool,
    answers: bool,
}

impl Layout {
    /// Looks at all records of a part.
    pub(super) fn of(rows: &Dataset, records: &[Record]) -> Result<Self, DataError> {
        let mut layout = Self::default();
        let mut first: Option<&Record> = None;
        for row in &rows.rows {
            for record in [Some(row.record), row.rejected_record].into_iter().flatten().map(|at| &records[at]) {
                let chat = is_chat(record);
                match first {
                    Some(first) if is_chat(first) != chat => return Err(mixed(first, record)),
                    _ => first = first.or(Some(record)),
                }
                layout.chat |= chat;
                layout.tools |= !record.tools.is_empty();
                layout.answers |= record.answer.is_some();
                layout.models |= record.responses.iter().any(|response| response.model.is_some());
                layout.extras |=
                    has_extras(&record.prompt) || record.responses.iter().any(|response| has_extras(&response.content));
            }
        }
        Ok(layout)
    }
}

fn is_chat(record: &Record) -> bool {
    record.responses.first().map_or(record.prompt.is_chat(), |response| response.content.is_chat())
}

fn has_extras(text: &Text) -> bool {
    matches!(text, Text::Chat(messages) if messages.iter().any(|message| !message.extras.is_empty()))
}

fn mixed(first: &Record, other: &Record) -> DataError {
    let kind = |record: &Record| if is_chat(record) { "messages" } else { "plain text" };
    let reason = format!(
        "holds {}, but {} holds {}; a column has one type: build them apart",
        kind(other),
        first.source,
        kind(first)
    );
    DataError::row(&other.source, reason)
}

/// A range of rows as a data frame.
pub(super) fn frame(rows: &Dataset, records: &[Record], range: Range<usize>, layout: Layout) -> PolarsResult<DataFrame> {
    let items: Vec<Item> = range.clone().map(|row| rows.item(row, records)).collect();
    let chunk = Chunk { items: &items, layout };
    let mut columns = chunk.texts(rows.kind)?;
    for (name, values) in &rows.columns {
        let values = &values[range.clone()];
        let flags = rows.kind == Kind::Unpaired && name == "label";
        columns.push(match flags {
            true => BooleanChunked::from_iter_values(name.as_str().into(), values.iter().map(|&v| v == 1.0)).into_column(),
            false => Column::new(name.as_str().into(), values),
        });
    }
    for (name, values) in &rows.cells {
        columns.push(number_lists(name, &values[range.clone()])?);
    }
    columns.extend(chunk.origins());
    DataFrame::new_infer_height(columns)
}

struct Chunk<'i> {
    items: &'i [Item],
    layout: Layout,
}

impl Chunk<'_> {
    fn texts(&self, kind: Kind) -> PolarsResult<Vec<Column>> {
        let Layout { chat, extras, models, .. } = self.layout;
        let prompts: Vec<&Text> = self.items.iter().map(|item| &item.prompt).collect();
        let mut columns = vec![texts("prompt", &prompts, chat, extras)?];
        if kind == Kind::Joint {
            let prompts: Vec<&Text> =
                self.items.iter().map(|item| item.rejected_prompt.as_ref().unwrap_or(&item.prompt)).collect();
            columns.push(texts("rejected_prompt", &prompts, chat, extras)?);
        }
        match kind {
            Kind::Pairs | Kind::Joint => {
                for (place, name) in ["chosen", "rejected"].into_iter().enumerate() {
                    columns.push(texts(name, &self.place(place), chat, extras)?);
                    if models {
                        columns.push(self.models(&format!("{name}_model"), place));
                    }
                }
            }
            Kind::Unpaired | Kind::Samples => {
                columns.push(texts("completion", &self.place(0), chat, extras)?);
                if models {
                    columns.push(self.models("model", 0));
                }
            }
            Kind::Rankings | Kind::Groups => {
                let lengths: Vec<usize> = self.items.iter().map(|item| item.completions.len()).collect();
                let all: Vec<&Text> = self.items.iter().flat_map(|item| &item.completions).collect();
                columns.push(text_lists("responses", &all, &lengths, chat, extras)?);
                if models {
                    let all = self.items.iter().flat_map(|item| item.models.iter().map(Option::as_deref));
                    columns.push(string_lists("models", all, &lengths)?);
                }
            }
        }
        Ok(columns)
    }

    /// The completion at a place of every row.
    fn place(&self, place: usize) -> Vec<&Text> {
        self.items.iter().map(|item| &item.completions[place]).collect()
    }

    fn models(&self, name: &str, place: usize) -> Column {
        strings(name, self.items.iter().map(|item| item.models[place].as_deref()))
    }

    /// Tools, answers and where rows came from.
    fn origins(&self) -> Vec<Column> {
        let mut columns = Vec::new();
        if self.layout.tools {
            let json =
                |item: &Item| (!item.tools.is_empty()).then(|| serde_json::to_string(&item.tools).unwrap_or_default());
            let json: Vec<Option<String>> = self.items.iter().map(json).collect();
            columns.push(strings("tools", json.iter().map(Option::as_deref)));
        }
        if self.layout.answers {
            columns.push(strings("answer", self.items.iter().map(|item| item.answer.as_deref())));
        }
        columns.push(strings("source_file", self.items.iter().map(|item| Some(&*item.source.file))));
        let rows: Vec<u64> = self.items.iter().map(|item| item.source.row as u64).collect();
        columns.push(Column::new("source_row".into(), rows));
        columns
    }
}
