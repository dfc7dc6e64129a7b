//! A penalty for repeated phrases.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::{Reward, RewardError, judged};

/// A penalty for runs of words that come again.
///
/// ```text
/// penalty = −weight · (1 − distinct n-grams / n-grams)
/// ```
///
/// Words are separated by white space and compared in lower case. A text of fewer than `n` words has no penalty.
///
/// Source: Yeo et al. 2025 (Demystifying Long Chain-of-Thought Reasoning), arXiv 2502.03373, the n-gram penalty; there of every
/// repeated token, here of the whole text.
///
/// ```
/// use tropism_rewards::Repetition;
///
/// let repetition = Repetition { n: 2, weight: 1.0 };
/// assert_eq!(repetition.penalty("no two words are alike"), 0.0);
/// // 5 pairs, of which 2 are distinct
/// assert!((repetition.penalty("and so and so and so") + 0.6).abs() < 1e-12);
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Repetition {
    /// Words of a run, at least 1. Default: 4.
    pub n: usize,
    /// Reward taken off when everything is repeated, at least 0. Default: 1.
    pub weight: f64,
}

impl Default for Repetition {
    fn default() -> Self {
        Self { n: 4, weight: 1.0 }
    }
}

impl Repetition {
    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// When `n` is 0, or `weight` is not a finite number of at least 0.
    pub fn check(&self) -> Result<(), RewardError> {
        let bad = |key, value, expected| Err(RewardError::BadKey { reward: "repetition".to_owned(), key, value, expected });
        if self.n == 0 {
            return bad("n", 0.0, "1 or more");
        }
        if !(self.weight.is_finite() && self.weight >= 0.0) {
            return bad("weight", self.weight, "a finite number, 0 or more");
        }
        Ok(())
    }

    /// The penalty of `text`, in `[−weight, 0]`; 0 for `n` = 0.
    pub fn penalty(&self, text: &str) -> f64 {
        let text = judged(text).to_lowercase();
        let words: Vec<&str> = text.split_whitespace().collect();
        if self.n == 0 || words.len() < self.n {
            return 0.0;
        }
        let all = words.windows(self.n);
        let count = all.len() as f64;
        let distinct = all.collect::<HashSet<_>>().len() as f64;
        // `0 −` keeps the result from being −0
        0.0 - self.weight * (1.0 - distinct / count)
    }
}

impl Reward for Repetition {
    fn name(&self) -> &str {
        "repetition"
    }

    /// The [`penalty`](Repetition::penalty) of the completion; prompt and truth are not read.
    ///
    /// # Errors
    ///
    /// Those of [`check`](Repetition::check).
    fn score(&self, _prompt: &str, completion: &str, _truth: Option<&str>) -> Result<Option<f64>, RewardError> {
        self.check()?;
        Ok(Some(self.penalty(completion)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_with_and_without_repeats() {
        let r = Repetition::default();
        assert_eq!(r.penalty(""), 0.0);
        assert_eq!(r.penalty("a a a"), 0.0);
        assert!((r.penalty(&"yes ".repeat(103)) + 0.99).abs() < 1e-12);
        assert_eq!(r.penalty("One two three four ONE TWO"), 0.0);
        assert!(r.penalty("One two three four ONE TWO three FOUR") < 0.0);
        assert!(Repetition { n: 0, ..r.clone() }.check().is_err());
        assert!(Repetition { weight: f64::NAN, ..r }.check().is_err());
    }
}
