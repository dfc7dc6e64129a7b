//! The grammar of numbers over tokens.

use std::ops::Range;

use super::Number;
use super::scan::Token;
use super::words::{SCALES, TENS, UNITS};

/// A number and the tokens it was read from.
pub(super) struct Found {
    pub(super) number: Number,
    pub(super) tokens: Range<usize>,
}

/// Iterator over the numbers in a row of tokens.
pub(super) struct Phrases<'a> {
    tokens: &'a [Token],
    at: usize,
    /// Where the last number ended: a sign there is the sign of a subtraction.
    last_end: Option<usize>,
}

impl<'a> Phrases<'a> {
    pub(super) fn new(tokens: &'a [Token]) -> Self {
        Self { tokens, at: 0, last_end: None }
    }
}

impl Iterator for Phrases<'_> {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        while self.at < self.tokens.len() {
            let start = self.at;
            let signed = self.last_end != Some(start) && is_sign(&self.tokens[start]);
            let body = if signed { start + 1 } else { start };
            if let Some((number, end)) = number(self.tokens, body) {
                self.at = end;
                self.last_end = Some(end);
                let number = match number {
                    Number::Whole(value) if signed => Number::Whole(-value),
                    other => other,
                };
                return Some(Found { number, tokens: start..end });
            }
            self.at += 1;
        }
        None
    }
}

fn is_sign(token: &Token) -> bool {
    match token {
        Token::Minus => true,
        Token::Word(word) => word == "minus" || word == "negative",
        _ => false,
    }
}

fn word(tokens: &[Token], at: usize) -> Option<&str> {
    match tokens.get(at)? {
        Token::Word(word) => Some(word),
        _ => None,
    }
}

fn scale(tokens: &[Token], at: usize) -> Option<i64> {
    let name = word(tokens, at)?;
    let (_, size) = SCALES.iter().find(|(scale, _)| *scale == name)?;
    Some(*size)
}

fn is_hundred(tokens: &[Token], at: usize) -> bool {
    word(tokens, at) == Some("hundred")
}

fn skip_and(tokens: &[Token], at: usize) -> usize {
    at + usize::from(word(tokens, at) == Some("and"))
}

/// A number without its sign that starts at `at`, and the index behind it.
fn number(tokens: &[Token], at: usize) -> Option<(Number, usize)> {
    if tokens.get(at) == Some(&Token::Digits(Number::Other)) {
        let mut end = at + 1;
        while is_hundred(tokens, end) || scale(tokens, end).is_some() {
            end += 1;
        }
        return Some((Number::Other, end));
    }
    let (value, end) = whole(tokens, at)?;
    if let Some(end) = spoken_fraction(tokens, end) {
        return Some((Number::Other, end));
    }
    Some((value.map_or(Number::Other, Number::Whole), end))
}

/// The end of "point five two" at `at`.
fn spoken_fraction(tokens: &[Token], at: usize) -> Option<usize> {
    if word(tokens, at) != Some("point") {
        return None;
    }
    let (_, mut end) = atom(tokens, at + 1)?;
    while let Some((_, next)) = atom(tokens, end) {
        end = next;
    }
    Some(end)
}

/// Groups with falling scales: "two million three thousand and five". `None` as a value when the
/// number is too large to be held.
fn whole(tokens: &[Token], at: usize) -> Option<(Option<i64>, usize)> {
    let (first, mut end) = group(tokens, at)?;
    let Some(mut size) = scale(tokens, end).filter(|_| first != 0) else {
        return Some((Some(first), end));
    };
    let mut value = first.checked_mul(size);
    end += 1;
    while let Some((next, behind)) = group(tokens, skip_and(tokens, end)) {
        let next_size = scale(tokens, behind);
        // A group that is as large as the last scale begins a new number.
        if !(1..1000).contains(&next) || next_size.is_some_and(|next_size| next_size >= size) {
            break;
        }
        value = value.and_then(|value| value.checked_add(next * next_size.unwrap_or(1)));
        end = behind + usize::from(next_size.is_some());
        match next_size {
            Some(next_size) => size = next_size,
            None => break,
        }
    }
    Some((value, end))
}

/// A number below a thousand in words (or "twelve hundred"), or one in digits.
fn group(tokens: &[Token], at: usize) -> Option<(i64, usize)> {
    let (value, end) = atom(tokens, at)?;
    if !is_hundred(tokens, end) || !(1..100).contains(&value) {
        return Some((value, end));
    }
    let (hundreds, end) = (value * 100, end + 1);
    match small(tokens, skip_and(tokens, end)) {
        // "one hundred and two hundred" is two numbers.
        Some((rest, behind)) if (1..100).contains(&rest) && !is_hundred(tokens, behind) => Some((hundreds + rest, behind)),
        _ => Some((hundreds, end)),
    }
}

/// Words below a hundred, digits, or "a" before a hundred or a larger unit.
fn atom(tokens: &[Token], at: usize) -> Option<(i64, usize)> {
    if let Token::Digits(Number::Whole(value)) = tokens.get(at)? {
        return Some((*value, at + 1));
    }
    if word(tokens, at) == Some("a") {
        let counted = is_hundred(tokens, at + 1) || scale(tokens, at + 1).is_some();
        return counted.then_some((1, at + 1));
    }
    small(tokens, at)
}

/// Words below a hundred.
fn small(tokens: &[Token], at: usize) -> Option<(i64, usize)> {
    let name = word(tokens, at)?;
    if let Some(value) = position(&UNITS, name) {
        return Some((value, at + 1));
    }
    let tens = (position(&TENS, name)? + 2) * 10;
    let ones = word(tokens, at + 1).and_then(|name| position(&UNITS[..10], name));
    match ones {
        Some(ones) if ones > 0 => Some((tens + ones, at + 2)),
        _ => Some((tens, at + 1)),
    }
}

fn position(names: &[&str], name: &str) -> Option<i64> {
    let index = names.iter().position(|known| *known == name)?;
    i64::try_from(index).ok()
}
