//! What a judge is asked and what it says.
use serde::{Deserialize, Serialize};

/// A prompt with two answers, in the order in which a judge sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question<'a> {
    /// the prompt
    pub prompt: &'a str,
    /// the answer shown first
    pub a: &'a str,
    /// the answer shown second
    pub b: &'a str,
}

impl Question<'_> {
    /// The same with the answers exchanged.
    #[must_use]
    pub fn swapped(self) -> Self {
        Question { a: self.b, b: self.a, ..self }
    }
}

/// The better answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Choice {
    /// the first
    A,
    /// the second
    B,
    /// neither
    Tie,
}

impl Choice {
    /// The choice in the words of the exchanged question.
    #[must_use]
    pub fn swapped(self) -> Self {
        match self {
            Choice::A => Choice::B,
            Choice::B => Choice::A,
            Choice::Tie => Choice::Tie,
        }
    }

    /// The larger of two figures; what is not more than `tie_within` apart is a tie.
    pub(crate) fn larger(a: f64, b: f64, tie_within: f64) -> Self {
        match a - b {
            d if d.abs() <= tie_within => Choice::Tie,
            d if d > 0.0 => Choice::A,
            _ => Choice::B,
        }
    }
}

/// A judge's answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// the better answer
    pub choice: Choice,
    /// probability that the first answer is the better one, where the judge has one
    pub probability: Option<f64>,
}

impl Verdict {
    /// A verdict without a probability.
    pub fn plain(choice: Choice) -> Self {
        Verdict { choice, probability: None }
    }

    /// How far the first answer wins, 0 to 1: the probability where there is one, else 1, ½ for a tie, 0.
    pub fn score(&self) -> f64 {
        self.probability.unwrap_or(match self.choice {
            Choice::A => 1.0,
            Choice::Tie => 0.5,
            Choice::B => 0.0,
        })
    }

    /// The verdict in the words of the exchanged question.
    #[must_use]
    pub fn swapped(self) -> Self {
        Verdict { choice: self.choice.swapped(), probability: self.probability.map(|p| 1.0 - p) }
    }
}

/// Why there is no verdict, and what that means for a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{reason}")]
pub struct Failure {
    /// what follows from it
    pub kind: FailureKind,
    /// one line for people
    pub reason: String,
}

/// What a failure means for a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// the judge answered, but not with a verdict: kept, and not asked again
    NoVerdict,
    /// the judge did not answer: asked again by the next run
    NotAnswered,
    /// nothing can be judged until something is set right: ends the run
    Setup,
}

impl Failure {
    /// A failure of a kind.
    pub fn new(kind: FailureKind, reason: impl Into<String>) -> Self {
        Failure { kind, reason: reason.into() }
    }
}

/// Says which of two answers is better.
pub trait Judge: Sync {
    /// Names the judge and all of its settings that may change a verdict; verdicts are kept under this name.
    fn identity(&self) -> String;

    /// The verdict on one question.
    ///
    /// # Errors
    /// [`Failure`], with what it means for a run.
    fn judge(&self, question: Question<'_>) -> Result<Verdict, Failure>;

    /// Whether the order of the answers may change the verdict; a judge that scores each answer by itself says no, and
    /// is not asked twice.
    fn reads_order(&self) -> bool {
        true
    }
}
