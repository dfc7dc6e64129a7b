//! The interface of all reward functions.

use crate::{Episodes, RewardError, Verdict};

/// A function from a prompt and a completion (and, where there is one, a known truth) to a number.
///
/// Implementations are deterministic, do no input or output, and are bounded in time for any text.
pub trait Reward: Send + Sync {
    /// Name of the reward in metrics and messages, for example `"numeric"`.
    fn name(&self) -> &str;

    /// The reward of `completion` as an answer to `prompt`, or `None` when there is no verdict.
    ///
    /// # Errors
    ///
    /// When the reward cannot be computed from this record, for example because `truth` is not of
    /// the form that the reward reads.
    fn score(&self, prompt: &str, completion: &str, truth: Option<&str>) -> Result<Option<f64>, RewardError>;

    /// The verdict on `completion`, where the reward is a verifier's; nothing where it is not.
    ///
    /// # Errors
    ///
    /// As [`score`](Self::score).
    fn judge(&self, prompt: &str, completion: &str, truth: Option<&str>) -> Result<Option<Verdict>, RewardError> {
        let _ = (prompt, completion, truth);
        Ok(None)
    }

    /// Names of the single aspects that this reward can score; none where it knows no aspects.
    fn aspects(&self) -> &[&str] {
        &[]
    }

    /// The score of one of [`aspects`](Self::aspects), or `None` where it does not apply.
    ///
    /// # Errors
    ///
    /// As [`score`](Self::score).
    fn aspect(&self, name: &str, prompt: &str, completion: &str) -> Result<Option<f64>, RewardError> {
        let _ = (name, prompt, completion);
        Ok(None)
    }

    /// The world as one that answers back, where completions are episodes of several turns.
    fn episodes(&self) -> Option<&dyn Episodes> {
        None
    }
}

impl<R: Reward + ?Sized> Reward for Box<R> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn score(&self, prompt: &str, completion: &str, truth: Option<&str>) -> Result<Option<f64>, RewardError> {
        (**self).score(prompt, completion, truth)
    }

    fn judge(&self, prompt: &str, completion: &str, truth: Option<&str>) -> Result<Option<Verdict>, RewardError> {
        (**self).judge(prompt, completion, truth)
    }

    fn aspects(&self) -> &[&str] {
        (**self).aspects()
    }

    fn aspect(&self, name: &str, prompt: &str, completion: &str) -> Result<Option<f64>, RewardError> {
        (**self).aspect(name, prompt, completion)
    }

    fn episodes(&self) -> Option<&dyn Episodes> {
        (**self).episodes()
    }
}
