//! The `tojson` filter of chat templates: JSON as Python's `json.dumps(…, ensure_ascii=False)` writes it.
//!
//! The template engine's own filter escapes characters that matter in HTML; a model would have to read those escapes.

use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Error, ErrorKind};

/// `value|tojson`, with an optional `indent` in spaces.
pub(super) fn to_json(value: &Value, options: Kwargs) -> Result<Value, Error> {
    let indent: Option<usize> = options.get("indent")?;
    options.assert_all_used()?;
    let mut writer = Writer { out: String::new(), indent };
    writer.value(value, 0)?;
    Ok(Value::from_safe_string(writer.out))
}

struct Writer {
    out: String,
    indent: Option<usize>,
}

impl Writer {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        match value.kind() {
            ValueKind::None => self.out += "null",
            // printed as Python would, a boolean has a capital letter
            ValueKind::Bool => self.out += if value.is_true() { "true" } else { "false" },
            ValueKind::Number => self.out += &value.to_string(),
            ValueKind::String => self.string(value.as_str().unwrap_or_default()),
            ValueKind::Seq | ValueKind::Iterable => {
                let items: Vec<Value> = value.try_iter()?.collect();
                self.list(['[', ']'], items.len(), depth, |writer, at| writer.value(&items[at], depth + 1))?;
            }
            ValueKind::Map => {
                let keys: Vec<Value> = value.try_iter()?.collect();
                self.list(['{', '}'], keys.len(), depth, |writer, at| {
                    writer.string(&keys[at].to_string());
                    writer.out += ": ";
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

    fn string(&mut self, text: &str) {
        self.out += &serde_json::Value::from(text).to_string();
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
            let separator = if self.indent.is_some() { "," } else { ", " };
            self.out += if at == 0 { "" } else { separator };
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
            self.out += &" ".repeat(width * depth);
        }
    }
}
