//! Verifier of a whole number that an answer states.

use serde::{Deserialize, Serialize};

use crate::error::shortened;
use crate::number::{self, Number};
use crate::{Reward, RewardError, Verdict};

/// Which of the numbers in an answer is its result.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Which {
    /// The first number.
    First,
    /// The last number (default): answers tend to repeat the question before they give the result.
    #[default]
    Last,
}

/// Reads one whole number out of an answer and compares it with a known one.
///
/// How numbers are found is described at [`number`](mod@crate::number). The score is
/// [`Verdict::score`]; without a truth there is no verdict.
///
/// ```
/// use tropism_rewards::{Numeric, Verdict};
///
/// let numeric = Numeric::default();
/// assert_eq!(numeric.verdict("Seven plus five is twelve.", 12), Verdict::Correct);
/// assert_eq!(numeric.verdict("It is 13.", 12), Verdict::Wrong);
/// assert_eq!(numeric.verdict("I do not know.", 12), Verdict::Unreadable);
/// ```
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Numeric {
    /// Which number of the answer counts.
    pub which: Which,
}

impl Numeric {
    /// The verdict on `answer` against the number `truth`.
    ///
    /// A number that is not whole, or too long to be read, is an answer and hence
    /// [`Verdict::Wrong`], not [`Verdict::Unreadable`].
    pub fn verdict(&self, answer: &str, truth: i64) -> Verdict {
        let stated = match self.which {
            Which::First => number::first_stated(answer),
            Which::Last => number::last_stated(answer),
        };
        match stated {
            Some(Number::Whole(value)) if value == truth => Verdict::Correct,
            Some(_) => Verdict::Wrong,
            None => Verdict::Unreadable,
        }
    }
}

impl Reward for Numeric {
    fn name(&self) -> &str {
        "numeric"
    }

    fn score(&self, prompt: &str, completion: &str, truth: Option<&str>) -> Result<Option<f64>, RewardError> {
        Ok(self.judge(prompt, completion, truth)?.and_then(Verdict::score))
    }

    fn judge(&self, _prompt: &str, completion: &str, truth: Option<&str>) -> Result<Option<Verdict>, RewardError> {
        let Some(truth) = truth else {
            return Ok(Some(Verdict::Abstained));
        };
        let value = number::parse(truth).ok_or_else(|| RewardError::BadTruth {
            reward: self.name().to_owned(),
            truth: shortened(truth),
            expected: "a whole number in digits or English words",
        })?;
        Ok(Some(self.verdict(completion, value)))
    }
}
