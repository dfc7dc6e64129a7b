//! Numbers in answers: found in running text, and written as English words.
//!
//! # What is read
//!
//! - Digits: `12`, `1,234`, `-12`, `−12` (minus sign), `12.0`.
//! - English words below 10¹⁵: `twelve`, `twenty-three`, `twenty three`, `one hundred and five`,
//!   `a thousand`, `twelve hundred`, `3 thousand`; upper or lower case.
//! - A sign: `minus` or `negative`, or a hyphen directly before the number. It is a sign only where
//!   no number stands directly before it, so `seven minus five` states 7 and 5, and `7-5` does too.
//!
//! A number with a fraction (`12.5`, `twelve point five`) or with more than 18 digits is read as
//! [`Number::Other`]: it was stated, but it is not a whole number this module can hold.
//!
//! # What is not
//!
//! Digits glued to letters (`12th`, `x12`), ordinals (`third`), vague words (`dozen`, `hundreds`).
//! `1/2` is two numbers. `one` counts as a number even where it is a pronoun.
//! Two number words that do not form one number are two numbers (`one two`), and punctuation always
//! ends a number (`twenty, three`).
//!
//! Only the [`judged`](crate::judged()) part of a text is read.

mod phrase;
mod scan;
mod words;

use phrase::Phrases;
use scan::scan;
pub use words::{WORDS_LIMIT, words};

/// A number stated in a text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Number {
    /// A whole number.
    Whole(i64),
    /// A number with a fraction, or one too long to be held.
    Other,
}

/// All numbers stated in `text`, in order.
///
/// ```
/// use tropism_rewards::Number::{Other, Whole};
/// use tropism_rewards::number::stated;
///
/// assert_eq!(stated("Seven minus nine is minus two."), [Whole(7), Whole(9), Whole(-2)]);
/// assert_eq!(stated("1,234 or 12.5?"), [Whole(1234), Other]);
/// ```
pub fn stated(text: &str) -> Vec<Number> {
    let tokens = scan(crate::judged(text));
    Phrases::new(&tokens).map(|found| found.number).collect()
}

/// The first number stated in `text`.
pub fn first_stated(text: &str) -> Option<Number> {
    let tokens = scan(crate::judged(text));
    Phrases::new(&tokens).next().map(|found| found.number)
}

/// The last number stated in `text`.
pub fn last_stated(text: &str) -> Option<Number> {
    let tokens = scan(crate::judged(text));
    Phrases::new(&tokens).last().map(|found| found.number)
}

/// The number that `text` as a whole is, without anything else but white space around it.
///
/// ```
/// use tropism_rewards::number::parse;
///
/// assert_eq!(parse(" minus twenty-three "), Some(-23));
/// assert_eq!(parse("-23"), Some(-23));
/// assert_eq!(parse("23 apples"), None);
/// ```
pub fn parse(text: &str) -> Option<i64> {
    if crate::judged(text).len() < text.len() {
        return None;
    }
    let tokens = scan(text);
    let only = Phrases::new(&tokens).next()?;
    match only.number {
        Number::Whole(value) if only.tokens == (0..tokens.len()) => Some(value),
        _ => None,
    }
}
