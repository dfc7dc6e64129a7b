//! The four outcomes of a verification.

use serde::{Deserialize, Serialize};

/// What a verifier says about an answer.
///
/// Serialised in lower case (`"correct"`, `"wrong"`, `"unreadable"`, `"abstained"`).
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// An answer was found and it agrees with the truth.
    Correct,
    /// An answer was found and it differs from the truth.
    Wrong,
    /// No answer was found in the text.
    Unreadable,
    /// The verifier cannot judge, for example because there is no truth to compare with.
    Abstained,
}

impl Verdict {
    /// The verdict as a reward: 1 for [`Correct`](Self::Correct), 0 for [`Wrong`](Self::Wrong) and
    /// [`Unreadable`](Self::Unreadable), `None` for [`Abstained`](Self::Abstained).
    ///
    /// An abstention has no number on purpose: a 0 would punish an answer that nobody judged.
    ///
    /// ```
    /// use tropism_rewards::Verdict;
    ///
    /// assert_eq!(Verdict::Correct.score(), Some(1.0));
    /// assert_eq!(Verdict::Unreadable.score(), Some(0.0));
    /// assert_eq!(Verdict::Abstained.score(), None);
    /// ```
    pub fn score(self) -> Option<f64> {
        match self {
            Self::Correct => Some(1.0),
            Self::Wrong | Self::Unreadable => Some(0.0),
            Self::Abstained => None,
        }
    }

    /// Whether this is [`Correct`](Self::Correct).
    pub fn is_correct(self) -> bool {
        self == Self::Correct
    }

    /// The name used in files, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Correct => "correct",
            Self::Wrong => "wrong",
            Self::Unreadable => "unreadable",
            Self::Abstained => "abstained",
        }
    }
}
