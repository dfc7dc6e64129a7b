//! The tags `{% generation %}` and `{% endgeneration %}`, by which a template says what the assistant wrote.
//!
//! The engine has no such tags. Where only the text is wanted they are translated to a block with variables of its own, as
//! transformers gives them; where ranges are wanted, to a call block whose function puts a mark on either side of what it
//! encloses. The marks are taken out of the rendered text again.

use std::ops::Range;

use minijinja::State;
use minijinja::value::{Kwargs, Value};

use crate::DataError;

/// Name of the function that call blocks call.
pub(super) const FUNCTION: &str = "__generation__";

/// Marks: code points that Unicode keeps from ever being characters.
const BEGIN: char = '\u{fdd0}';
const END: char = '\u{fdd1}';

const ENCLOSED: &str = "its generation tags enclose each other, or a message holds the code points U+FDD0 and U+FDD1, which \
                        mark them";

/// A rendered text with the ranges (in bytes) that the assistant wrote, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::text) struct Marked {
    pub(in crate::text) text: String,
    pub(in crate::text) written: Vec<Range<usize>>,
}

/// The function of translated tags.
pub(super) fn mark(state: &mut State<'_, '_>, arguments: Kwargs) -> Result<Value, minijinja::Error> {
    let caller: Value = arguments.get("caller")?;
    let text = caller.call(state, &[])?;
    Ok(Value::from(format!("{BEGIN}{text}{END}")))
}

impl Marked {
    /// Takes the marks out of a text.
    pub(super) fn read(marked: &str) -> Result<Self, DataError> {
        let (mut text, mut written, mut open) = (String::with_capacity(marked.len()), Vec::new(), None);
        for c in marked.chars() {
            match (c, open) {
                (BEGIN, None) => open = Some(text.len()),
                (END, Some(start)) => {
                    written.push(start..text.len());
                    open = None;
                }
                (BEGIN | END, _) => return Err(DataError::Template { reason: ENCLOSED.to_owned() }),
                _ => text.push(c),
            }
        }
        match open {
            None => Ok(Self { text, written }),
            Some(_) => Err(DataError::Template { reason: ENCLOSED.to_owned() }),
        }
    }
}

/// The template with its generation tags translated, to marks or to nothing but a block, and whether there are any.
pub(super) fn translate(source: &str, marks: bool) -> (String, bool) {
    let (mut out, mut rest, mut found) = (String::with_capacity(source.len()), source, false);
    while let Some(start) = rest.find('{') {
        out += &rest[..start];
        rest = &rest[start..];
        let length = construct(rest);
        let construct = &rest[..length];
        match translated(construct, marks) {
            Some(tag) => {
                out += &tag;
                found = true;
            }
            None => out += construct,
        }
        rest = &rest[length..];
    }
    (out + rest, found)
}

/// Bytes of the longest expression or tag, texts in quotes not counted.
pub(super) fn longest_construct(source: &str) -> usize {
    let (mut rest, mut longest) = (source, 0);
    while let Some(start) = rest.find("{") {
        rest = &rest[start..];
        let length = construct(rest);
        if rest.starts_with("{{") || rest.starts_with("{%") {
            longest = longest.max(unquoted(&rest[..length]));
        }
        rest = &rest[length..];
    }
    longest
}

fn unquoted(construct: &str) -> usize {
    let (mut quote, mut escaped, mut count) = (None, false, 0);
    for byte in construct.bytes() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if byte == b'\\' => escaped = true,
            Some(open) if byte == open => quote = None,
            Some(_) => {}
            None => {
                count += 1;
                if byte == b'"' || byte == b'\'' {
                    quote = Some(byte);
                }
            }
        }
    }
    count
}

/// Length of the comment, expression, tag or raw block that the text begins with; 1 for a brace that is none of these.
fn construct(text: &str) -> usize {
    let to = |end: &str| text.find(end).map_or(text.len(), |at| at + end.len());
    match text.as_bytes()[1..] {
        [b'#', ..] => to("#}"),
        [b'{', ..] => quoted(text, "}}"),
        [b'%', ..] => {
            let tag = quoted(text, "%}");
            if word(&text[..tag]).is_none_or(|(_, word, _)| word != "raw") {
                return tag;
            }
            // a raw block is text, up to its end tag
            let mut at = tag;
            while let Some(next) = text[at..].find("{%") {
                at += next;
                let end = quoted(&text[at..], "%}");
                if word(&text[at..at + end]).is_some_and(|(_, word, _)| word == "endraw") {
                    return at + end;
                }
                at += 2;
            }
            text.len()
        }
        _ => 1,
    }
}

/// Length up to the given end, which does not count within quotes.
fn quoted(text: &str, end: &str) -> usize {
    let (mut quote, mut escaped) = (None, false);
    for (at, c) in text.char_indices().skip(2) {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if text[at..].starts_with(end) => return at + end.len(),
            None if c == '"' || c == '\'' => quote = Some(c),
            None => {}
        }
    }
    text.len()
}

/// A tag's white space control and its single word: `{%- word +%}`.
fn word(tag: &str) -> Option<(&str, &str, &str)> {
    let inner = tag.strip_prefix("{%")?.strip_suffix("%}")?;
    let left = if inner.starts_with(['-', '+']) { 1 } else { 0 };
    let right = usize::from(inner.len() > left && inner.ends_with(['-', '+']));
    let (left, inner) = inner.split_at(left);
    let (inner, right) = inner.split_at(inner.len() - right);
    Some((left, inner.trim(), right))
}

fn translated(tag: &str, marks: bool) -> Option<String> {
    let (left, word, right) = word(tag)?;
    let word = match (word, marks) {
        ("generation", true) => &format!("call {FUNCTION}()"),
        ("generation", false) => "with",
        ("endgeneration", true) => "endcall",
        ("endgeneration", false) => "endwith",
        _ => return None,
    };
    Some(format!("{{%{left} {word} {right}%}}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn tags_are_translated_where_they_are_tags() {
        let call = format!("call {FUNCTION}()");
        for (source, expected) in [
            ("a{% generation %}b{% endgeneration %}c", format!("a{{% {call} %}}b{{% endcall %}}c")),
            ("{%-generation-%}{%+ endgeneration +%}", format!("{{%- {call} -%}}{{%+ endcall +%}}")),
            ("{% generation_x %}{ generation }", "{% generation_x %}{ generation }".to_owned()),
            ("{# {% generation %} #}", "{# {% generation %} #}".to_owned()),
            ("{{ '{% generation %}' }}", "{{ '{% generation %}' }}".to_owned()),
            ("{% set a = '%}{% generation %}' %}", "{% set a = '%}{% generation %}' %}".to_owned()),
            (r#"{{ "a\"}}{% generation %}" }}"#, r#"{{ "a\"}}{% generation %}" }}"#.to_owned()),
            (
                "{% raw %}{% generation %}{% x {%- endraw %}{% generation %}",
                format!("{{% raw %}}{{% generation %}}{{% x {{%- endraw %}}{{% {call} %}}"),
            ),
            ("{% raw %}{% generation %}", "{% raw %}{% generation %}".to_owned()),
            ("é{{ 'unfinished {% generation %}", "é{{ 'unfinished {% generation %}".to_owned()),
            ("{", "{".to_owned()),
            ("{%", "{%".to_owned()),
            ("{%-%}", "{%-%}".to_owned()),
        ] {
            let (found, any) = translate(source, true);
            assert_eq!(found, expected, "{source}");
            assert_eq!(any, expected.contains(&call), "{source}");
        }
    }

    #[test]
    fn marks_become_ranges() {
        let marked = Marked::read("aé\u{fdd0}bc\u{fdd1}\u{fdd0}\u{fdd1}d").unwrap();
        assert_eq!(marked, Marked { text: "aébcd".into(), written: vec![3..5, 5..5] });
        for wrong in ["\u{fdd0}\u{fdd0}\u{fdd1}\u{fdd1}", "\u{fdd1}"] {
            assert!(Marked::read(wrong).unwrap_err().to_string().contains("U+FDD0"));
        }
    }
}
