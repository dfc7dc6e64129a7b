//! Verifier of a fixed string.

use serde::{Deserialize, Serialize};

use crate::{Reward, RewardError, Verdict, judged};

/// Compares the whole answer with the whole truth, word by word.
///
/// White space at the ends is ignored and any run of it counts as one space. The score is
/// [`Verdict::score`]: 1 for equal, 0 for different or empty, no verdict without a truth.
///
/// ```
/// use tropism_rewards::{Exact, Verdict};
///
/// let exact = Exact::default();
/// assert_eq!(exact.verdict(" Paris\n", "Paris"), Verdict::Correct);
/// assert_eq!(exact.verdict("paris", "Paris"), Verdict::Wrong);
/// assert_eq!(Exact { ignore_case: true }.verdict("paris", "Paris"), Verdict::Correct);
/// ```
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Exact {
    /// Whether upper and lower case are the same (Unicode lower case). Default: no.
    pub ignore_case: bool,
}

impl Exact {
    /// The verdict on `answer` against `truth`: an answer of white space alone is
    /// [`Verdict::Unreadable`] unless the truth is blank as well.
    ///
    /// Both are cut to [`JUDGED_CHARACTERS`](crate::JUDGED_CHARACTERS) characters; a longer answer
    /// never equals a truth, because part of it is not looked at.
    pub fn verdict(&self, answer: &str, truth: &str) -> Verdict {
        if self.words(answer).eq(self.words(truth)) {
            // Equal up to the cut is not equal when one of the two was cut.
            let whole = judged(answer).len() == answer.len() && judged(truth).len() == truth.len();
            return if whole { Verdict::Correct } else { Verdict::Wrong };
        }
        match self.words(answer).next() {
            Some(_) => Verdict::Wrong,
            None => Verdict::Unreadable,
        }
    }

    fn words<'a>(&self, text: &'a str) -> impl Iterator<Item = String> + use<'a> {
        let ignore_case = self.ignore_case;
        judged(text).split_whitespace().map(move |word| if ignore_case { word.to_lowercase() } else { word.to_owned() })
    }
}

impl Reward for Exact {
    fn name(&self) -> &str {
        "exact"
    }

    fn score(&self, prompt: &str, completion: &str, truth: Option<&str>) -> Result<Option<f64>, RewardError> {
        Ok(self.judge(prompt, completion, truth)?.and_then(Verdict::score))
    }

    fn judge(&self, _prompt: &str, completion: &str, truth: Option<&str>) -> Result<Option<Verdict>, RewardError> {
        Ok(Some(truth.map_or(Verdict::Abstained, |truth| self.verdict(completion, truth))))
    }
}
