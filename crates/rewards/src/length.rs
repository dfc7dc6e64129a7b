//! Length of an answer and a penalty for over-long ones.

use serde::{Deserialize, Serialize};

use crate::{Reward, RewardError, judged};

/// Characters that one run without white space may have before it counts as a further word.
const WORD_CHARACTERS: usize = 16;

/// Number of words in `text`.
///
/// A word is a run of characters without white space. A run of more than 16 characters counts as
/// one word for every started 16, so that leaving out the spaces does not make an answer short.
/// Only the [`judged()`] part of the text counts.
///
/// ```
/// use tropism_rewards::length::words;
///
/// assert_eq!(words("Seven plus five is twelve."), 5);
/// assert_eq!(words(" \n"), 0);
/// assert_eq!(words(&"so".repeat(16)), 2);
/// ```
pub fn words(text: &str) -> usize {
    judged(text).split_whitespace().map(|run| run.chars().count().div_ceil(WORD_CHARACTERS)).sum()
}

/// Number of characters (Unicode scalar values) in the [`judged()`] part of `text`, without the white
/// space at its ends.
pub fn characters(text: &str) -> usize {
    judged(text).trim().chars().count()
}

/// What a length is counted in.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Words, see [`words`].
    #[default]
    Words,
    /// Characters, see [`characters`].
    Characters,
}

/// A penalty for answers over a target length.
///
/// ```text
/// penalty = max(floor, −slope · max(0, length − target))
/// ```
///
/// 0 up to the target, then falling by `slope` a unit, never below `floor`.
///
/// ```
/// use tropism_rewards::LengthPenalty;
///
/// let length = LengthPenalty { target: 2, slope: 0.1, floor: -0.25, ..LengthPenalty::default() };
/// assert_eq!(length.penalty("just two"), 0.0);
/// assert_eq!(length.penalty("one word more"), -0.1);
/// assert_eq!(length.penalty("this has far too many words"), -0.25);
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LengthPenalty {
    /// What the length is counted in. Default: words.
    pub unit: Unit,
    /// Greatest length without a penalty. Default: 64.
    pub target: usize,
    /// Reward taken off for each unit over the target, at least 0. Default: 0.01.
    pub slope: f64,
    /// Least value of the penalty, at most 0. Default: −1.
    pub floor: f64,
}

impl Default for LengthPenalty {
    fn default() -> Self {
        Self { unit: Unit::Words, target: 64, slope: 0.01, floor: -1.0 }
    }
}

impl LengthPenalty {
    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// When `slope` is not a finite number of at least 0, or `floor` not one of at most 0.
    pub fn check(&self) -> Result<(), RewardError> {
        let bad = |key, value, expected| Err(RewardError::BadKey { reward: "length".to_owned(), key, value, expected });
        if !(self.slope.is_finite() && self.slope >= 0.0) {
            return bad("slope", self.slope, "a finite number, 0 or more");
        }
        if !(self.floor.is_finite() && self.floor <= 0.0) {
            return bad("floor", self.floor, "a finite number, 0 or less");
        }
        Ok(())
    }

    /// The penalty of `text`, in `[floor, 0]`.
    pub fn penalty(&self, text: &str) -> f64 {
        let length = match self.unit {
            Unit::Words => words(text),
            Unit::Characters => characters(text),
        };
        let over = length.saturating_sub(self.target) as f64;
        // `0 −` keeps the result from being −0.
        (0.0 - self.slope * over).max(self.floor)
    }
}

impl Reward for LengthPenalty {
    fn name(&self) -> &str {
        "length"
    }

    /// The [`penalty`](LengthPenalty::penalty) of the completion; prompt and truth are not read.
    ///
    /// # Errors
    ///
    /// Those of [`check`](LengthPenalty::check).
    fn score(&self, _prompt: &str, completion: &str, _truth: Option<&str>) -> Result<Option<f64>, RewardError> {
        self.check()?;
        Ok(Some(self.penalty(completion)))
    }
}
