//! The `tojson` filter of chat templates: JSON as Python's `json.dumps(…, ensure_ascii=False)` writes it.
//!
//! The template engine's own filter escapes characters that matter in HTML; a model would have to read those escapes.

use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Error, ErrorKind, State};

/// Deepest nesting that is written.
const DEEPEST: usize = 128;

/// `value|tojson`, with Python's options: `indent` in spaces, `separators`, `sort_keys`, `ensure_ascii`.
pub(super) fn to_json(state: &State<'_, '_>, value: &Value, options: Kwargs) -> Result<Value, Error> {
    let indent: Option<usize> = options.get("indent")?;
    let separators: Option<Vec<String>> = options.get("separators")?;
    let (sort_keys, ascii): (Option<bool>, Option<bool>) = (options.get("sort_keys")?, options.get("ensure_ascii")?);
    options.assert_all_used()?;
    let between = if indent.is_some() { "," } else { ", " };
    let (item, key) = match separators.as_deref() {
        None => (between.to_owned(), ": ".to_owned()),
        Some([item, key]) => (item.clone(), key.clone()),
        Some(_) => return Err(Error::new(ErrorKind::InvalidOperation, "separators of tojson are two texts")),
    };
    let (sort_keys, ascii) = (sort_keys.unwrap_or(false), ascii.unwrap_or(false));
    let mut writer = Writer { state, out: String::new(), charged: 0, indent, item, key, sort_keys, ascii };
    writer.value(value, 0)?;
    Ok(Value::from_safe_string(writer.out))
}

struct Writer<'a, 't, 'e> {
    state: &'a State<'t, 'e>,
    out: String,
    /// Bytes that have been paid for.
    charged: usize,
    indent: Option<usize>,
    item: String,
    key: String,
    sort_keys: bool,
    ascii: bool,
}

impl Writer<'_, '_, '_> {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        if depth > DEEPEST {
            let reason = format!("a value nested more than {DEEPEST} deep cannot be written as JSON");
            return Err(Error::new(ErrorKind::BadSerialization, reason));
        }
        self.charge()?;
        match value.kind() {
            ValueKind::None => self.out += "null",
            // printed as Python would, a boolean has a capital letter
            ValueKind::Bool => self.out += if value.is_true() { "true" } else { "false" },
            ValueKind::Number => self.out += &number(value),
            ValueKind::String => self.string(value.as_str().unwrap_or_default()),
            ValueKind::Seq | ValueKind::Iterable => {
                let items: Vec<Value> = value.try_iter()?.collect();
                self.list(['[', ']'], items.len(), depth, |writer, at| writer.value(&items[at], depth + 1))?;
            }
            ValueKind::Map => {
                let mut keys: Vec<Value> = value.try_iter()?.collect();
                if self.sort_keys {
                    keys.sort_by_key(ToString::to_string);
                }
                self.list(['{', '}'], keys.len(), depth, |writer, at| {
                    writer.string(&keys[at].to_string());
                    writer.out += &writer.key.clone();
                    writer.value(&value.get_item(&keys[at])?, depth + 1)
                })?;
            }
            other => {
                let reason = format!("{other} value has no form in JSON");
                return Err(Error::new(ErrorKind::BadSerialization, reason));
            }
        }
        Ok(())
    }

    /// Pays for a value and what has been written since the last one, so that no template can write without end.
    fn charge(&mut self) -> Result<(), Error> {
        let new = self.out.len() - self.charged;
        self.charged = self.out.len();
        self.state.consume_fuel(1 + (new / 16) as u64)
    }

    fn string(&mut self, text: &str) {
        let json = serde_json::Value::from(text).to_string();
        if !self.ascii {
            self.out += &json;
            return;
        }
        for c in json.chars() {
            if c.is_ascii() {
                self.out.push(c);
            } else {
                c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| self.out += &format!("\\u{unit:04x}"));
            }
        }
    }

    fn list(
        &mut self,
        brackets: [char; 2],
        count: usize,
        depth: usize,
        mut item: impl FnMut(&mut Self, usize) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.out.push(brackets[0]);
        for at in 0..count {
            if at > 0 {
                self.out += &self.item.clone();
            }
            self.line(depth + 1);
            item(self, at)?;
        }
        if count > 0 {
            self.line(depth);
        }
        self.out.push(brackets[1]);
        Ok(())
    }

    /// Begins a line at the given depth, where lines are wanted.
    fn line(&mut self, depth: usize) {
        if let Some(width) = self.indent {
            self.out.push('\n');
            self.out += &" ".repeat(width.min(64) * depth);
        }
    }
}

/// A number as Python writes it.
fn number(value: &Value) -> String {
    match f64::try_from(value.clone()) {
        Ok(float) if !value.is_integer() => python_float(float),
        _ => value.to_string(),
    }
}

/// The shortest digits that read back as the number, with an exponent below 1e-4 and from 1e16 on.
fn python_float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        return format!("{value:?}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_pythons() {
        let cases = [
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (1e-4, "0.0001"),
            (1e-5, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.25e300, "1.25e+300"),
            (f64::NEG_INFINITY, "-Infinity"),
            (f64::NAN, "NaN"),
        ];
        for (value, expected) in cases {
            assert_eq!(python_float(value), expected);
        }
    }
}
