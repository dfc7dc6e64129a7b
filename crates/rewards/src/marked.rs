//! Verifier of a number that stands behind a marker.

use serde::{Deserialize, Serialize};

use crate::error::shortened;
use crate::{Reward, RewardError, Verdict, judged};

/// Reads the number that an answer gives behind a marker, and compares it with a known one as decimals, exactly.
///
/// Without `closing` the marker counts at the beginning of a line, and the answer is the rest of that line; with it, the answer
/// stands between the last marker and the `closing` behind it. Of several the last one counts: solutions may correct themselves.
///
/// `$`, `,`, white space, a full stop at the end and zeros that say nothing are left out, so that `$1,200.50.`, `1200.5` and
/// `01200.5` are the same number. Units make an answer unreadable: GSM8K's answers have none.
///
/// The truth is such a number, or a whole reference solution with the marker in it.
///
/// Source: Cobbe et al. 2021 (GSM8K), whose `####` lines and model solutions (`A:`) it reads.
///
/// ```
/// use tropism_rewards::{Marked, Verdict};
///
/// let gsm8k = Marked::default();
/// assert_eq!(gsm8k.verdict("16 - 3 - 4 = 9\n9 * 2 = $18\n#### 18", "18"), Some(Verdict::Correct));
/// assert_eq!(gsm8k.verdict("#### 1,200.0", "the solution\n#### 1200"), Some(Verdict::Correct));
/// assert_eq!(gsm8k.verdict("#### 19", "18"), Some(Verdict::Wrong));
/// assert_eq!(gsm8k.verdict("It is 18.", "18"), Some(Verdict::Unreadable));
/// assert_eq!(Marked::boxed().verdict(r"so \boxed{18}", "18"), Some(Verdict::Correct));
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Marked {
    /// What stands before the answer. Default: `####`.
    pub marker: String,
    /// What stands behind it; none: the end of the line. Default: none.
    pub closing: Option<String>,
}

impl Default for Marked {
    fn default() -> Self {
        Self { marker: "####".to_owned(), closing: None }
    }
}

impl Marked {
    /// Answers as LaTeX gives them: `\boxed{18}`.
    pub fn boxed() -> Self {
        Self { marker: r"\boxed{".to_owned(), closing: Some("}".to_owned()) }
    }

    /// The text behind the last marker; nothing where there is none.
    ///
    /// ```
    /// use tropism_rewards::Marked;
    ///
    /// assert_eq!(Marked::default().answer("#### 3\nno:\n#### 4 "), Some("4"));
    /// assert_eq!(Marked::default().answer("see #### 3"), None);
    /// ```
    pub fn answer<'t>(&self, text: &'t str) -> Option<&'t str> {
        let text = judged(text);
        let Some(closing) = &self.closing else {
            return text.lines().rev().find_map(|line| line.trim_start().strip_prefix(self.marker.as_str())).map(str::trim);
        };
        let rest = text.rsplit_once(self.marker.as_str())?.1;
        rest.split_once(closing.as_str()).map(|(answer, _)| answer.trim())
    }

    /// The verdict on `text` against `truth`; nothing where the truth is no number.
    pub fn verdict(&self, text: &str, truth: &str) -> Option<Verdict> {
        let truth = Decimal::parse(self.answer(truth).unwrap_or(truth))?;
        Some(match self.answer(text).and_then(Decimal::parse) {
            None => Verdict::Unreadable,
            Some(stated) if stated == truth => Verdict::Correct,
            Some(_) => Verdict::Wrong,
        })
    }
}

impl Reward for Marked {
    fn name(&self) -> &str {
        "marked"
    }

    fn score(&self, prompt: &str, completion: &str, truth: Option<&str>) -> Result<Option<f64>, RewardError> {
        Ok(self.judge(prompt, completion, truth)?.and_then(Verdict::score))
    }

    fn judge(&self, _prompt: &str, completion: &str, truth: Option<&str>) -> Result<Option<Verdict>, RewardError> {
        let Some(truth) = truth else {
            return Ok(Some(Verdict::Abstained));
        };
        let verdict = self.verdict(completion, truth).ok_or_else(|| RewardError::BadTruth {
            reward: self.name().to_owned(),
            truth: shortened(truth),
            expected: "a number in digits, alone or behind the marker",
        })?;
        Ok(Some(verdict))
    }
}

/// A decimal number in the one way to write it.
#[derive(Debug, Eq, PartialEq)]
struct Decimal {
    negative: bool,
    whole: String,
    fraction: String,
}

impl Decimal {
    fn parse(text: &str) -> Option<Self> {
        let plain: String = judged(text).chars().filter(|c| !c.is_whitespace() && !matches!(c, '$' | ',')).collect();
        let plain = plain.strip_suffix('.').unwrap_or(&plain);
        let digits = plain.strip_prefix(['-', '−']).unwrap_or(plain);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if whole.len() + fraction.len() == 0 || !digits(whole) || !digits(fraction) {
            return None;
        }
        let (whole, fraction) = (whole.trim_start_matches('0').to_owned(), fraction.trim_end_matches('0').to_owned());
        let zero = whole.is_empty() && fraction.is_empty();
        Some(Self { negative: plain.starts_with(['-', '−']) && !zero, whole, fraction })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(a: &str, b: &str) -> bool {
        Decimal::parse(a).is_some() && Decimal::parse(a) == Decimal::parse(b)
    }

    #[test]
    fn ways_to_write_a_number() {
        for (a, b) in [("$1,200.50", "1200.5"), ("007", "7"), ("-0", "0.0"), (".5", "0.50"), ("18.", "18"), ("−3", "-3")] {
            assert!(same(a, b), "{a} {b}");
        }
        for (a, b) in [("-3", "3"), ("1.05", "1.5"), ("100", "10"), ("0.1", "0.01")] {
            assert!(!same(a, b), "{a} {b}");
        }
        for none in ["", ".", "-", "1.2.3", "18 dollars", "1/2", "--3", "1e3", "٣"] {
            assert_eq!(Decimal::parse(none), None, "{none}");
        }
        // no float in between: all digits count
        assert!(!same("9007199254740993", "9007199254740992"));
    }

    #[test]
    fn the_last_marker_counts() {
        let lines = Marked { marker: "A:".into(), closing: None };
        assert_eq!(lines.verdict("A: 3\nB\n  A: 4", "4"), Some(Verdict::Correct));
        assert_eq!(lines.verdict("A: 4\nA: unknown", "4"), Some(Verdict::Unreadable));
        assert_eq!(lines.verdict("PA: 4", "4"), Some(Verdict::Unreadable));
        assert_eq!(Marked::boxed().verdict(r"\boxed{4", "4"), Some(Verdict::Unreadable));
        assert_eq!(lines.verdict("A: 4", "four"), None);
        assert_eq!(lines.score("", "A: 4", None), Ok(None));
        assert!(lines.score("", "A: 4", Some("four")).is_err());
    }
}
