//! Words of a text: the pre-tokenisers whose regular expressions are followed by hand.

use super::classes::{Classes, LETTER, NUMBER, SPACE};

/// A way of dividing text into words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Words {
    /// GPT-2's expression.
    Gpt2,
    /// The expression of Llama 3 and Qwen: contractions in either case, one further character before letters, line breaks
    /// after other characters, at most so many numbers in a word.
    Modern { numbers: usize },
}

/// GPT-2's expression, which the tokenizers library has built in.
///
/// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
///
/// The others begin with the same words in either case.
const MODERN_HEAD: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|";
const MODERN_TAIL: &str = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

impl Words {
    /// The words of an expression that is known, written exactly so.
    pub(super) fn of_pattern(pattern: &str) -> Option<Self> {
        let numbers = pattern.strip_prefix(MODERN_HEAD)?.strip_suffix(MODERN_TAIL)?;
        match numbers {
            r"\p{N}" => Some(Self::Modern { numbers: 1 }),
            r"\p{N}{1,3}" => Some(Self::Modern { numbers: 3 }),
            _ => None,
        }
    }

    /// End of the word that begins at `at`, a character's boundary before the end of `text`.
    #[inline]
    pub(super) fn end(self, classes: &Classes, text: &str, at: usize) -> usize {
        match self {
            Self::Gpt2 => gpt2(classes, text, at),
            Self::Modern { numbers } => modern(classes, text, at, numbers),
        }
    }
}

fn gpt2(classes: &Classes, text: &str, at: usize) -> usize {
    let first = text.as_bytes()[at];
    if first == b'\''
        && let Some(end) = contraction(text, at)
    {
        return end;
    }
    let mut start = at;
    let (mut bits, length) = classes.at(text, at);
    if first == b' '
        && let (next, 1..) = classes.at(text, at + length)
        && next & SPACE == 0
    {
        (start, bits) = (at + length, next);
    }
    if bits & SPACE != 0 { space(classes, text, at) } else { classes.run(text, start, |other| other == bits) }
}

fn modern(classes: &Classes, text: &str, at: usize, numbers: usize) -> usize {
    let first = text.as_bytes()[at];
    if first == b'\''
        && let Some(end) = contraction_of_any_case(text, at)
    {
        return end;
    }
    let (bits, length) = classes.at(text, at);
    if bits & LETTER != 0 {
        return classes.run(text, at, |other| other & LETTER != 0);
    }
    if bits & NUMBER != 0 {
        return some_numbers(classes, text, at, numbers);
    }
    let next = classes.at(text, at + length).0;
    if !matches!(first, b'\r' | b'\n') && next & LETTER != 0 {
        return classes.run(text, at + length, |other| other & LETTER != 0);
    }
    let start = match first {
        b' ' if next == 0 && at + length < text.len() => at + length,
        _ if bits == 0 => at,
        _ => return lines(classes, text, at),
    };
    let end = classes.run(text, start, |other| other == 0);
    end + text.as_bytes()[end..].iter().take_while(|&&byte| matches!(byte, b'\r' | b'\n')).count()
}

fn some_numbers(classes: &Classes, text: &str, mut at: usize, most: usize) -> usize {
    for _ in 0..most {
        match classes.at(text, at) {
            (bits, length) if bits & NUMBER != 0 => at += length,
            _ => break,
        }
    }
    at
}

/// White space: all of it at the end of the text, else all but the last character, which belongs to what follows.
fn space(classes: &Classes, text: &str, at: usize) -> usize {
    let end = classes.run(text, at, |bits| bits & SPACE != 0);
    let last = text[at..end].chars().next_back().map_or(0, char::len_utf8);
    if end < text.len() && end - last > at { end - last } else { end }
}

/// White space that ends in its last line break, where it has one.
fn lines(classes: &Classes, text: &str, at: usize) -> usize {
    let end = classes.run(text, at, |bits| bits & SPACE != 0);
    match text[at..end].rfind(['\r', '\n']) {
        Some(last) => at + last + 1,
        None => space(classes, text, at),
    }
}

fn contraction(text: &str, at: usize) -> Option<usize> {
    match text.as_bytes()[at + 1..] {
        [b's' | b't' | b'm' | b'd', ..] => Some(at + 2),
        [b'r' | b'v', b'e', ..] | [b'l', b'l', ..] => Some(at + 3),
        _ => None,
    }
}

fn contraction_of_any_case(text: &str, at: usize) -> Option<usize> {
    match text.as_bytes()[at + 1..] {
        [b's' | b't' | b'm' | b'd' | b'S' | b'T' | b'M' | b'D', ..] => Some(at + 2),
        [b'r' | b'v' | b'R' | b'V', b'e' | b'E', ..] | [b'l' | b'L', b'l' | b'L', ..] => Some(at + 3),
        // the long s is an s to those who ignore case
        _ => text[at + 1..].starts_with('ſ').then_some(at + 1 + 'ſ'.len_utf8()),
    }
}
