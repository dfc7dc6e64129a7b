//! Numbers as English words, in British usage.

/// Numbers of this size and above (in absolute value) have no words here: 10¹⁵.
pub const WORDS_LIMIT: i64 = 1_000_000_000_000_000;

pub(super) const UNITS: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];

pub(super) const TENS: [&str; 8] = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];

pub(super) const SCALES: [(&str, i64); 4] =
    [("trillion", 1_000_000_000_000), ("billion", 1_000_000_000), ("million", 1_000_000), ("thousand", 1_000)];

/// `value` in lower-case English words: a hyphen between tens and units, "and" before what follows
/// the hundreds, "minus" for a negative number. `None` from [`WORDS_LIMIT`] on.
///
/// [`parse`](super::parse) reads it back.
///
/// ```
/// use tropism_rewards::number::words;
///
/// assert_eq!(words(-23).as_deref(), Some("minus twenty-three"));
/// assert_eq!(words(4105).as_deref(), Some("four thousand one hundred and five"));
/// assert_eq!(words(i64::MAX), None);
/// ```
pub fn words(value: i64) -> Option<String> {
    if value.unsigned_abs() >= WORDS_LIMIT.unsigned_abs() {
        return None;
    }
    let mut parts = Vec::new();
    if value < 0 {
        parts.push("minus".to_owned());
    }
    let mut rest = value.abs();
    for (name, size) in SCALES {
        if rest >= size {
            below_thousand(rest / size, &mut parts);
            parts.push(name.to_owned());
            rest %= size;
            // "two thousand and five", but "two thousand one hundred and five".
            if rest > 0 && rest < 100 {
                parts.push("and".to_owned());
            }
        }
    }
    if rest > 0 || value == 0 {
        below_thousand(rest, &mut parts);
    }
    Some(parts.join(" "))
}

fn below_thousand(value: i64, parts: &mut Vec<String>) {
    let (hundreds, rest) = (value / 100, value % 100);
    if hundreds > 0 {
        parts.push(unit(hundreds).to_owned());
        parts.push("hundred".to_owned());
        if rest == 0 {
            return;
        }
        parts.push("and".to_owned());
    }
    if rest < 20 {
        parts.push(unit(rest).to_owned());
        return;
    }
    let tens = TENS[(rest / 10 - 2) as usize];
    parts.push(match rest % 10 {
        0 => tens.to_owned(),
        ones => format!("{tens}-{}", unit(ones)),
    });
}

fn unit(value: i64) -> &'static str {
    UNITS[value as usize]
}
