//! A row as a format sees it: cells by the name of their column, checked for their kind.

use super::Want;
use super::conversation;
use crate::record::{Record, Response, Source, Text, Tools, Value};

/// Why a row gives no record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The row is as the format says, but nothing can be learnt from it: it is left out and counted.
    Unusable(String),
    /// A cell is not as the format says: an error, unless broken rows are to be left out.
    Broken(String),
}

impl From<&'static str> for Fault {
    fn from(reason: &'static str) -> Self {
        Self::Unusable(reason.to_owned())
    }
}

/// Cells by the name of their column.
pub(crate) struct Row<'a> {
    pub(crate) source: Source,
    pub(crate) names: &'a [String],
    pub(crate) cells: Vec<Value>,
    /// True where every cell is text and other kinds are to be read from it.
    pub(crate) untyped: bool,
    /// True where the options name the prompt column.
    pub(crate) prompt_named: bool,
    /// True where the shared beginning of two texts is to be their prompt.
    pub(crate) share_prompt: bool,
    /// Remarks for the audit.
    pub(crate) notes: Vec<&'static str>,
}

impl Row<'_> {
    /// Takes the cell of a column, null where the column is not there.
    pub(super) fn take(&mut self, name: &str) -> Value {
        let at = self.names.iter().position(|there| there == name);
        at.and_then(|at| self.cells.get_mut(at)).map(std::mem::take).unwrap_or_default()
    }

    /// Takes a cell of the wanted kind; `None` for null.
    fn cell(&mut self, name: &str, want: Want) -> Result<Option<Value>, Fault> {
        let cell = match self.take(name) {
            Value::Text(text) if self.untyped => typed(name, text, want)?,
            cell => cell,
        };
        match cell {
            Value::Null => Ok(None),
            cell if want.accepts(&cell) => Ok(Some(cell)),
            other => Err(wrong(name, describe(&other), want)),
        }
    }

    /// Takes a cell that must be there.
    fn need(&mut self, name: &str, want: Want) -> Result<Value, Fault> {
        self.cell(name, want)?
            .ok_or_else(|| Fault::Broken(format!("column `{name}` is null or missing; fix or remove the row")))
    }

    /// Text that must be there.
    pub(super) fn text(&mut self, name: &str) -> Result<String, Fault> {
        self.need(name, Want::Text).map(into_text)
    }

    /// Text that may be missing.
    pub(super) fn text_if_any(&mut self, name: &str) -> Result<Option<String>, Fault> {
        Ok(self.cell(name, Want::Scalar)?.map(into_text))
    }

    /// Text or messages.
    pub(super) fn content(&mut self, name: &str) -> Result<Text, Fault> {
        let cell = self.need(name, Want::TextOrChat)?;
        content(name, cell)
    }

    /// Text or messages, that may be missing.
    pub(super) fn content_if_any(&mut self, name: &str) -> Result<Option<Text>, Fault> {
        self.cell(name, Want::TextOrChat)?.map(|cell| content(name, cell)).transpose()
    }

    /// A finite number that must be there.
    pub(super) fn number(&mut self, name: &str) -> Result<f64, Fault> {
        let cell = self.need(name, Want::Number)?;
        finite(name, &cell)
    }

    /// A finite number that may be missing; NaN, as tables write a missing number, is missing too.
    pub(super) fn number_if_any(&mut self, name: &str) -> Result<Option<f64>, Fault> {
        match self.cell(name, Want::Number)? {
            Some(Value::Float(value)) if value.is_nan() => Ok(None),
            cell => cell.map(|cell| finite(name, &cell)).transpose(),
        }
    }

    /// A whole number from a small range.
    pub(super) fn choice(&mut self, name: &str, range: std::ops::RangeInclusive<i64>) -> Result<i64, Fault> {
        let cell = self.need(name, Want::Number)?;
        let whole = cell.number().filter(|value| value.fract() == 0.0).map(|value| value as i64);
        whole.filter(|value| range.contains(value)).ok_or_else(|| {
            Fault::Broken(format!(
                "column `{name}` holds {cell}; a whole number from {} to {} was expected",
                range.start(),
                range.end()
            ))
        })
    }

    /// True or false, also as 1 or 0.
    pub(super) fn flag(&mut self, name: &str) -> Result<bool, Fault> {
        Ok(as_flag(&self.need(name, Want::Flag)?))
    }

    /// True or false, that may be missing.
    pub(super) fn flag_if_any(&mut self, name: &str) -> Result<Option<bool>, Fault> {
        Ok(self.cell(name, Want::Flag)?.map(|cell| as_flag(&cell)))
    }

    /// A list that must be there.
    pub(super) fn list(&mut self, name: &str) -> Result<Vec<Value>, Fault> {
        match self.need(name, Want::List)? {
            Value::List(items) => Ok(items),
            other => Err(wrong(name, other.kind(), Want::List)),
        }
    }

    /// An object that must be there.
    pub(super) fn object(&mut self, name: &str) -> Result<Value, Fault> {
        self.need(name, Want::Object)
    }

    /// The tools that a prompt offers: a list, or text that holds one.
    pub(super) fn tools(&mut self) -> Result<Tools, Fault> {
        let cell = match self.take("tools") {
            Value::Text(text) if text.trim().is_empty() => Value::Null,
            Value::Text(text) => serde_json::from_str(&text).unwrap_or(Value::Text(text)),
            cell => cell,
        };
        match cell {
            Value::Null => Ok(Tools::new()),
            Value::List(tools) => Ok(tools),
            other => Err(wrong("tools", describe(&other), Want::List)),
        }
    }

    /// A record of this row.
    pub(super) fn record(&self, prompt: Text) -> Record {
        Record::new(self.source.clone(), prompt)
    }

    /// Moves a number that the file may have into the record's numbers.
    pub(super) fn keep_number(&mut self, record: &mut Record, name: &str) -> Result<(), Fault> {
        if let Some(value) = self.number_if_any(name)? {
            record.numbers.insert(name.to_owned(), value);
        }
        Ok(())
    }
}

/// Gives the better of two responses rank 1, the other rank 2.
pub(super) fn ranked(mut responses: [Response; 2], better: usize) -> Vec<Response> {
    for (at, response) in responses.iter_mut().enumerate() {
        response.rank = Some(if at == better { 1.0 } else { 2.0 });
    }
    responses.into()
}

fn content(name: &str, cell: Value) -> Result<Text, Fault> {
    match cell {
        Value::List(items) => Ok(Text::Chat(
            conversation::messages(items)
                .map_err(|reason| Fault::Broken(format!("column `{name}` holds {reason}; fix or remove the row")))?,
        )),
        other => Ok(Text::Plain(into_text(other))),
    }
}

/// A cell of an untyped file as the kind that the column has; text of that kind stays text, and an empty cell is null.
pub(super) fn typed(name: &str, text: String, want: Want) -> Result<Value, Fault> {
    if matches!(want, Want::Text | Want::Scalar) {
        return Ok(Value::Text(text));
    }
    let trimmed = text.trim();
    if want == Want::TextOrChat {
        let chat = trimmed.starts_with('[').then(|| serde_json::from_str::<Value>(trimmed).ok()).flatten();
        return Ok(chat.filter(|chat| want.accepts(chat)).unwrap_or(Value::Text(text)));
    }
    match trimmed {
        "" => return Ok(Value::Null),
        "True" | "TRUE" => return Ok(Value::Bool(true)),
        "False" | "FALSE" => return Ok(Value::Bool(false)),
        _ => {}
    }
    match serde_json::from_str::<Value>(trimmed).ok().or_else(|| trimmed.parse().ok().map(Value::Float)) {
        Some(value) if want.accepts(&value) => Ok(value),
        _ => {
            let shown: String = trimmed.chars().take(30).collect();
            Err(wrong(name, &format!("the text {shown:?}"), want))
        }
    }
}

fn into_text(cell: Value) -> String {
    match cell {
        Value::Text(text) => text,
        other => other.to_string(),
    }
}

fn as_flag(cell: &Value) -> bool {
    matches!(cell, Value::Bool(true) | Value::Int(1))
}

fn finite(name: &str, cell: &Value) -> Result<f64, Fault> {
    cell.number()
        .filter(|value| value.is_finite())
        .ok_or_else(|| Fault::Broken(format!("column `{name}` holds a number that is not finite; fix or remove the row")))
}

fn wrong(name: &str, found: &str, want: Want) -> Fault {
    Fault::Broken(format!("column `{name}` holds {found}; {} was expected", want.name()))
}

/// What a cell is, with a word on the mistakes that are common with messages.
fn describe(cell: &Value) -> &'static str {
    match cell {
        Value::List(items) if !items.is_empty() => "a list of something else than messages",
        Value::Object(_) if cell.get("role").is_some() && cell.get("content").is_some() => {
            "a single message instead of a list"
        }
        other => other.kind(),
    }
}
