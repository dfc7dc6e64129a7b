//! First pass over JSONL: exact errors by line, the columns there are, and what kind of cell each wanted one has.
//!
//! Nothing is stored but shapes, so the pass costs little; the second pass, by polars, then gets an explicit
//! schema and has nothing left to guess.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::DataError;

/// What a JSON value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Null,
    Text,
    Number,
    Flag,
    /// An object with text under `role` and `content`.
    Message,
    /// A list of messages.
    Chat,
    Other(&'static str),
}

impl Shape {
    fn name(self) -> &'static str {
        match self {
            Shape::Null => "null",
            Shape::Text => "text",
            Shape::Number => "a number",
            Shape::Flag => "true or false",
            Shape::Message => "a single message",
            Shape::Chat => "messages",
            Shape::Other(what) => what,
        }
    }
}

/// Result of the pass.
#[derive(Debug)]
pub(super) struct Scan {
    /// Line number of each data row.
    pub(super) lines: Vec<usize>,
    /// Names of all columns.
    pub(super) columns: Vec<String>,
    /// For each wanted column, the shape of its non-null cells.
    pub(super) shapes: Vec<Option<Shape>>,
    /// Where the scanned bytes end.
    pub(super) end: usize,
}

/// Scans at most `limit` rows for the wanted columns, those of texts before those of numbers.
pub(super) fn scan(
    file: &str,
    bytes: &[u8],
    (texts, numbers): (&[&str], &[&str]),
    limit: Option<usize>,
) -> Result<Scan, DataError> {
    let wanted = &[texts, numbers].concat()[..];
    let mut found = Scan { lines: Vec::new(), columns: Vec::new(), shapes: vec![None; wanted.len()], end: 0 };
    let mut columns = BTreeSet::new();
    let limit = limit.unwrap_or(usize::MAX);
    for (index, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
        if found.lines.len() == limit {
            break;
        }
        found.end += line.len();
        if is_blank(line) {
            continue;
        }
        let shapes = scan_line(line, wanted, &mut columns).map_err(|error| DataError::Json {
            file: file.to_owned(),
            line: index + 1,
            reason: reason(&error),
        })?;
        found.merge(shapes, texts.len()).map_err(|(at, reason)| DataError::Column {
            file: file.to_owned(),
            column: wanted[at].to_owned(),
            reason: format!("line {} {reason}", index + 1),
        })?;
        found.lines.push(index + 1);
    }
    found.columns = columns.into_iter().collect();
    Ok(found)
}

/// As polars sees it, so that both passes agree on what a row is.
fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
}

impl Scan {
    /// Adds the shapes of a line, of `texts` columns of text and then of numbers; the error is the column's place among the wanted, and what is wrong.
    fn merge(&mut self, shapes: Vec<Shape>, texts: usize) -> Result<(), (usize, String)> {
        for (at, (known, shape)) in self.shapes.iter_mut().zip(shapes).enumerate() {
            if at < texts { merge_text(known, shape) } else { merge_number(known, shape) }.map_err(|reason| (at, reason))?;
        }
        Ok(())
    }
}

/// The parser's message without its own line count, which is always 1.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or(&text);
    format!("{text} (character {})", error.column())
}

fn merge_number(known: &mut Option<Shape>, shape: Shape) -> Result<(), String> {
    let expected = match *known {
        None | Some(Shape::Number) => Shape::Number,
        Some(other) => other,
    };
    match shape {
        Shape::Null => {}
        Shape::Number | Shape::Flag if known.is_none() || shape == expected => *known = Some(shape),
        _ => return Err(format!("holds {}; {} was expected", shape.name(), expected.name())),
    }
    Ok(())
}

fn merge_text(known: &mut Option<Shape>, shape: Shape) -> Result<(), String> {
    match (*known, shape) {
        (_, Shape::Null) => {}
        (_, Shape::Message) => {
            return Err("holds a single message; write a list of messages".to_owned());
        }
        (_, Shape::Other(_) | Shape::Number | Shape::Flag) => {
            let what = shape.name();
            return Err(format!("holds {what}; text or a list of messages with `role` and `content` was expected"));
        }
        (None, _) => *known = Some(shape),
        (Some(before), _) if before != shape => {
            return Err(format!("holds {}, lines before it hold {}; use one kind per file", shape.name(), before.name()));
        }
        _ => {}
    }
    Ok(())
}

fn scan_line(line: &[u8], wanted: &[&str], columns: &mut BTreeSet<String>) -> serde_json::Result<Vec<Shape>> {
    let mut parser = serde_json::Deserializer::from_slice(line);
    let shapes = Line { wanted, columns }.deserialize(&mut parser)?;
    parser.end()?;
    Ok(shapes)
}

/// Reads one object, noting its keys and the shapes under the wanted ones.
struct Line<'a> {
    wanted: &'a [&'a str],
    columns: &'a mut BTreeSet<String>,
}

impl<'de> DeserializeSeed<'de> for Line<'_> {
    type Value = Vec<Shape>;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Line<'_> {
    type Value = Vec<Shape>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut shapes = vec![Shape::Null; self.wanted.len()];
        let mut seen = vec![false; self.wanted.len()];
        while let Some(key) = map.next_key::<String>()? {
            match self.wanted.iter().position(|name| *name == key) {
                Some(at) if seen[at] => {
                    return Err(de::Error::custom(format!("key `{key}` stands twice")));
                }
                Some(at) => {
                    seen[at] = true;
                    shapes[at] = map.next_value()?;
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            if !self.columns.contains(&key) {
                self.columns.insert(key);
            }
        }
        Ok(shapes)
    }
}

impl<'de> de::Deserialize<'de> for Shape {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Shape, E> {
        Ok(Shape::Flag)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Shape, E> {
        Ok(Shape::Number)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Shape, E> {
        Ok(Shape::Number)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Shape, E> {
        Ok(Shape::Number)
    }

    fn visit_str<E>(self, _: &str) -> Result<Shape, E> {
        Ok(Shape::Text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Shape, A::Error> {
        let mut shape = Shape::Chat;
        while let Some(element) = list.next_element::<Shape>()? {
            if element != Shape::Message {
                shape = Shape::Other("a list of something else than messages with text under `role` and `content`");
            }
        }
        Ok(shape)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape, A::Error> {
        let (mut role, mut content) = (Shape::Null, Shape::Null);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "role" => role = map.next_value()?,
                "content" => content = map.next_value()?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let message = role == Shape::Text && content == Shape::Text;
        Ok(if message { Shape::Message } else { Shape::Other("an object") })
    }
}
