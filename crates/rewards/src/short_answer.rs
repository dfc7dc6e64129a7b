//! Verifier of short answers in words, with other names for the same thing.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::error::shortened;
use crate::{Reward, RewardError, Verdict, judged};

/// A text as short answers are compared: in lower case, without ASCII punctuation and the articles `a`, `an`, `the`, with single
/// spaces. What is not [`judged()`] is left out.
///
/// Punctuation leaves no space behind, as in the reference: `U.S.` is `us`, and `twenty-one` is `twentyone`.
///
/// ```
/// use tropism_rewards::normalized;
///
/// assert_eq!(normalized(" The  Beatles! "), "beatles");
/// assert_eq!(normalized("A Day in the Life"), normalized("day in life."));
/// ```
pub fn normalized(text: &str) -> String {
    let bare: String = judged(text).to_lowercase().chars().filter(|c| !c.is_ascii_punctuation()).collect();
    let words = bare.split_whitespace().filter(|word| !matches!(*word, "a" | "an" | "the"));
    words.collect::<Vec<&str>>().join(" ")
}

/// The harmonic mean of precision and recall of the [`normalized()`] words of `answer` against those of `truth`, each word counted
/// as often as both have it; 1 where neither has any, 0 where one has none.
///
/// ```
/// use tropism_rewards::word_f1;
///
/// // Two of three words are right, two of two are found.
/// assert_eq!(word_f1("the New York City", "New York"), 2.0 * (2.0 / 3.0) / (2.0 / 3.0 + 1.0));
/// ```
pub fn word_f1(answer: &str, truth: &str) -> f64 {
    let (answer, truth) = (normalized(answer), normalized(truth));
    let (said, wanted) = (answer.split_whitespace().count(), truth.split_whitespace().count());
    if said == 0 || wanted == 0 {
        return if said == wanted { 1.0 } else { 0.0 };
    }
    let mut open: HashMap<&str, usize> = HashMap::new();
    truth.split_whitespace().for_each(|word| *open.entry(word).or_default() += 1);
    let shared = answer.split_whitespace().filter(|word| match open.get_mut(word) {
        Some(left) if *left > 0 => {
            *left -= 1;
            true
        }
        _ => false,
    });
    let shared = shared.count() as f64;
    let (precision, recall) = (shared / said as f64, shared / wanted as f64);
    if shared == 0.0 { 0.0 } else { 2.0 * precision * recall / (precision + recall) }
}

/// Compares an answer with a truth and its other names, as normalised words: the exact match of question answering.
///
/// Case, articles, ASCII punctuation and white space do not count ([`normalized()`]), nor does the order of the names. An answer
/// without a word is [`Verdict::Unreadable`]. The score is [`Verdict::score`]; without a truth there is no verdict.
///
/// Source: the evaluation of SQuAD, Rajpurkar et al. 2016, as Search-R1's reward has it, arXiv 2503.09516.
///
/// ```
/// use tropism_rewards::{ShortAnswer, Verdict};
///
/// let short = ShortAnswer::default();
/// assert_eq!(short.verdict("the United States.", "USA\nUnited States"), Some(Verdict::Correct));
/// assert_eq!(short.verdict("Canada", "USA\nUnited States"), Some(Verdict::Wrong));
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ShortAnswer {
    /// What stands between the names in a truth; empty: the truth is one name. Default: the end of a line.
    pub separator: String,
}

impl Default for ShortAnswer {
    fn default() -> Self {
        Self { separator: "\n".to_owned() }
    }
}

impl ShortAnswer {
    /// The verdict on `answer`; nothing where no name in `truth` has a word.
    pub fn verdict(&self, answer: &str, truth: &str) -> Option<Verdict> {
        let names = self.names(truth);
        if names.is_empty() {
            return None;
        }
        let said = normalized(answer);
        if said.is_empty() {
            return Some(Verdict::Unreadable);
        }
        // A longer answer equals no name, because part of it is not looked at.
        let whole = judged(answer).len() == answer.len();
        Some(if whole && names.contains(&said) { Verdict::Correct } else { Verdict::Wrong })
    }

    /// The largest [`word_f1()`] of `answer` against a name; nothing where no name in `truth` has a word.
    pub fn f1(&self, answer: &str, truth: &str) -> Option<f64> {
        self.names(truth).iter().map(|name| word_f1(answer, name)).reduce(f64::max)
    }

    fn names(&self, truth: &str) -> Vec<String> {
        let truth = judged(truth);
        let one = self.separator.is_empty();
        let names: Vec<&str> = if one { vec![truth] } else { truth.split(self.separator.as_str()).collect() };
        names.into_iter().map(normalized).filter(|name| !name.is_empty()).collect()
    }
}

impl Reward for ShortAnswer {
    fn name(&self) -> &str {
        "short_answer"
    }

    fn score(&self, _prompt: &str, completion: &str, truth: Option<&str>) -> Result<Option<f64>, RewardError> {
        let Some(truth) = truth else {
            return Ok(Verdict::Abstained.score());
        };
        let verdict = self.verdict(completion, truth).ok_or_else(|| RewardError::BadTruth {
            reward: self.name().to_owned(),
            truth: shortened(truth),
            expected: "one or more names with a word in them",
        })?;
        Ok(verdict.score())
    }
}
