//! White space as Python strips it: the separators U+001C to U+001F count.

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, State};

fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// Python's methods of strings, maps and lists.
pub(super) fn method(state: &mut State<'_, '_>, value: &Value, name: &str, arguments: &[Value]) -> Result<Value, Error> {
    if let (ValueKind::String, Some(text), []) = (value.kind(), value.as_str(), arguments) {
        match name {
            "strip" => return Ok(Value::from(text.trim_matches(is_space))),
            "lstrip" => return Ok(Value::from(text.trim_start_matches(is_space))),
            "rstrip" => return Ok(Value::from(text.trim_end_matches(is_space))),
            _ => {}
        }
    }
    minijinja_contrib::pycompat::unknown_method_callback(state, value, name, arguments)
}

/// `value|trim`, of white space or of the given characters.
pub(super) fn trim(value: &Value, characters: Option<&str>) -> String {
    let text = match value.as_str() {
        Some(text) => text,
        None => &value.to_string(),
    };
    match characters {
        Some(characters) => text.trim_matches(|c| characters.contains(c)).to_owned(),
        None => text.trim_matches(is_space).to_owned(),
    }
}
