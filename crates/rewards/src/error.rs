//! What can go wrong when a reward is set up or computed.

use thiserror::Error;

/// An error of a verifier or a reward function.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum RewardError {
    /// A setting has a value that makes no sense.
    #[error("reward `{reward}`: key `{key}` is {value}, but must be {expected}")]
    BadKey {
        /// Name of the reward.
        reward: String,
        /// Name of the setting.
        key: &'static str,
        /// The value that was given.
        value: f64,
        /// What is allowed.
        expected: &'static str,
    },
    /// The truth that came with a record cannot be read by the verifier.
    #[error("reward `{reward}`: the truth {truth:?} is not {expected}; correct the record or use another verifier")]
    BadTruth {
        /// Name of the reward.
        reward: String,
        /// The truth as given, shortened for display.
        truth: String,
        /// What the verifier can read.
        expected: &'static str,
    },
    /// A part of a weighted sum is NaN or infinite.
    #[error("reward `{reward}`: part `{part}` is {value}; a reward must be a finite number")]
    NotFinite {
        /// Name of the sum.
        reward: String,
        /// Name of the part at fault, or of the sum itself when only the sum overflows.
        part: String,
        /// The value at fault.
        value: f64,
    },
    /// Two parts of a weighted sum have the same name.
    #[error("reward `{reward}`: two parts are named `{part}`; rename one of them")]
    SameName {
        /// Name of the sum.
        reward: String,
        /// The name that stands twice.
        part: String,
    },
    /// A reward is the score of a model, and there is none at hand.
    #[error("reward `{reward}`: it is the score of a model, and no scores are at hand")]
    NoScore {
        /// Name of the reward.
        reward: String,
    },
    /// A world is asked about a prompt that is none of its tasks.
    #[error("reward `{reward}`: {prompt:?} is none of the world's tasks; use its own prompts, made with the same settings")]
    UnknownPrompt {
        /// Name of the world.
        reward: String,
        /// The prompt as given, shortened for display.
        prompt: String,
    },
    /// A judge that is asked elsewhere does not answer.
    #[error("reward `{reward}`: {problem}")]
    NoAnswer {
        /// Name of the reward.
        reward: String,
        /// What it said, or why it said nothing.
        problem: String,
    },
    /// A weighted sum has no parts.
    #[error("reward `{reward}`: there is nothing to add up; add at least one part")]
    NoParts {
        /// Name of the sum.
        reward: String,
    },
}

/// `text` cut to a length that fits in a message.
pub(crate) fn shortened(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
