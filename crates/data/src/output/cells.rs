//! Columns of a data frame from texts, and texts from its cells.

use polars::prelude::*;

use crate::record::{Message, Text, Value};

/// A column of strings.
pub(super) fn strings<'t>(name: &str, values: impl Iterator<Item = Option<&'t str>>) -> Column {
    StringChunked::from_iter_options(name.into(), values).into_column()
}

/// A column of texts: strings, or lists of messages.
pub(super) fn texts(name: &str, values: &[&Text], chat: bool, extras: bool) -> PolarsResult<Column> {
    flat_texts(values, chat, extras).map(|series| series.with_name(name.into()).into_column())
}

/// A column of lists of texts, cut by the length of each row.
pub(super) fn text_lists(name: &str, values: &[&Text], lengths: &[usize], chat: bool, extras: bool) -> PolarsResult<Column> {
    lists(name, &flat_texts(values, chat, extras)?, lengths)
}

/// A column of lists of optional strings.
pub(super) fn string_lists<'t>(
    name: &str,
    values: impl Iterator<Item = Option<&'t str>>,
    lengths: &[usize],
) -> PolarsResult<Column> {
    lists(name, &StringChunked::from_iter_options("".into(), values).into_series(), lengths)
}

/// A column of lists of numbers.
pub(super) fn number_lists(name: &str, values: &[Vec<f64>]) -> PolarsResult<Column> {
    let flat = Series::new("".into(), values.concat());
    lists(name, &flat, &values.iter().map(Vec::len).collect::<Vec<_>>())
}

fn flat_texts(values: &[&Text], chat: bool, extras: bool) -> PolarsResult<Series> {
    if !chat {
        let plain = values.iter().map(|text| match text {
            Text::Plain(text) => Some(text.as_str()),
            Text::Chat(_) => None,
        });
        return Ok(StringChunked::from_iter_options("".into(), plain).into_series());
    }
    let messages = |text: &'_ Text| match text {
        Text::Chat(messages) => messages.clone(),
        Text::Plain(_) => Vec::new(),
    };
    let rows: Vec<Vec<Message>> = values.iter().map(|text| messages(text)).collect();
    let lengths: Vec<usize> = rows.iter().map(Vec::len).collect();
    Ok(lists("", &flat_messages(&rows.concat(), extras)?, &lengths)?.take_materialized_series())
}

fn flat_messages(messages: &[Message], extras: bool) -> PolarsResult<Series> {
    let column = |name: &str, values: Vec<Option<String>>| Series::new(name.into(), values);
    let some = |text: &String| Some(text.clone());
    let mut fields = vec![
        column("role", messages.iter().map(|message| some(&message.role)).collect()),
        column("content", messages.iter().map(|message| some(&message.content)).collect()),
    ];
    if extras {
        let json =
            |message: &Message| (!message.extras.is_empty()).then(|| Value::Object(message.extras.clone()).to_string());
        fields.push(column("extras", messages.iter().map(json).collect()));
    }
    Ok(StructChunked::from_series("".into(), messages.len(), fields.iter())?.into_series())
}

/// Consecutive runs of a series as lists.
fn lists(name: &str, flat: &Series, lengths: &[usize]) -> PolarsResult<Column> {
    if lengths.is_empty() {
        return Ok(Series::new_empty(name.into(), &DataType::List(Box::new(flat.dtype().clone()))).into_column());
    }
    let mut at = 0;
    let mut next = |&length: &usize| {
        let part = flat.slice(at, length);
        at += length as i64;
        part
    };
    let parts: Vec<Series> = lengths.iter().map(&mut next).collect();
    Ok(Series::new(name.into(), parts).into_column())
}

/// The texts of a column of strings or of lists of messages; null is the empty text.
pub(super) fn read_texts(column: &Series) -> PolarsResult<Vec<Text>> {
    match column.dtype() {
        DataType::List(_) => {
            let rows = column.list()?;
            (0..rows.len())
                .map(|i| Ok(Text::Chat(rows.get_as_series(i).map_or(Ok(Vec::new()), |r| read_messages(&r))?)))
                .collect()
        }
        _ => Ok(column.str()?.iter().map(|text| Text::Plain(text.unwrap_or_default().to_owned())).collect()),
    }
}

/// The optional strings of a column.
pub(super) fn read_strings(column: &Series) -> PolarsResult<Vec<Option<String>>> {
    Ok(column.str()?.iter().map(|text| text.map(str::to_owned)).collect())
}

/// The numbers of a column of numbers or of true and false.
pub(super) fn read_numbers(column: &Series) -> PolarsResult<Vec<f64>> {
    let cast = column.cast(&DataType::Float64)?;
    Ok(cast.f64()?.iter().map(|value| value.unwrap_or(f64::NAN)).collect())
}

/// The lists of a column, each by `read`.
pub(super) fn read_lists<T>(column: &Series, read: impl Fn(&Series) -> PolarsResult<Vec<T>>) -> PolarsResult<Vec<Vec<T>>> {
    let rows = column.list()?;
    (0..rows.len()).map(|i| rows.get_as_series(i).map_or(Ok(Vec::new()), |row| read(&row))).collect()
}

fn read_messages(list: &Series) -> PolarsResult<Vec<Message>> {
    let fields = list.struct_()?;
    let (roles, contents) = (fields.field_by_name("role")?, fields.field_by_name("content")?);
    let extras = match fields.field_by_name("extras") {
        Ok(extras) => read_strings(&extras)?,
        Err(_) => vec![None; list.len()],
    };
    let texts = roles.str()?.iter().zip(contents.str()?.iter()).zip(extras);
    texts
        .map(|((role, content), extras)| {
            let mut message = Message::new(role.unwrap_or_default(), content.unwrap_or_default());
            if let Some(json) = extras {
                let value: Value = serde_json::from_str(&json)
                    .map_err(|error| PolarsError::ComputeError(format!("`extras` of a message: {error}").into()))?;
                message.extras = match value {
                    Value::Object(entries) => entries,
                    other => vec![("extras".to_owned(), other)],
                };
            }
            Ok(message)
        })
        .collect()
}
