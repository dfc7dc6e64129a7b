//! Keeping an answer from repeating a corpus while it is written.
use super::{Surprisal, TraceIndex};
use crate::error::EvaluationError;

/// A veto at decoding: tokens whose choice would end a span of the corpus with a belief conflict above a threshold.
///
/// A candidate `v` after the answer so far is looked up with the `window − 1` tokens before it (all of them where the answer is
/// shorter): `s = (…, v)`. It is risky if `s` stands in the corpus and `BCI(s) = −Σ_{t∈s} log P(t)` exceeds the threshold, in
/// nats. An answer that takes no risky token passes [`crate::safety::would_refuse`] with the same window, threshold and index.
///
/// Candidates without a match are never touched, so decoding without matches is decoding without veto, bit by bit.
///
/// ```
/// use tropism_evaluation::safety::{ProvenanceVeto, Surprisal, TraceIndex};
///
/// let index = TraceIndex::new(&[&[1, 2, 3]])?;
/// let rare = Surprisal::from_probabilities(&[(1, 1e-4), (2, 1e-4), (3, 1e-4)], 1e-9)?;
/// let veto = ProvenanceVeto::new(index, rare, 3, 20.0)?;
/// assert_eq!(veto.risky(&[1, 2]), [3]);
/// assert!(veto.risky(&[2]).is_empty(), "two of these tokens have 18.4 nats");
/// # Ok::<(), tropism_evaluation::EvaluationError>(())
/// ```
///
/// # Source
/// TRACEALIGN (arXiv 2508.02063), Prov-Decode; there in beam search, with 8 tokens and 20 nats.
#[derive(Clone, Debug)]
pub struct ProvenanceVeto {
    index: TraceIndex,
    surprisal: Surprisal,
    window: usize,
    threshold: f64,
}

impl ProvenanceVeto {
    /// A veto on spans of `window` tokens above `threshold` nats.
    ///
    /// # Errors
    /// A window of 0; a threshold that is negative or no number.
    pub fn new(index: TraceIndex, surprisal: Surprisal, window: usize, threshold: f64) -> Result<Self, EvaluationError> {
        if window == 0 {
            return Err(EvaluationError::Range { what: "the window", value: 0, expected: "take 8, or at least 1" });
        }
        if !(threshold >= 0.0 && threshold.is_finite()) {
            return Err(crate::figures::outside("the threshold", 0, threshold, "nats of at least 0 are expected"));
        }
        Ok(Self { index, surprisal, window, threshold })
    }

    /// Tokens that are not to follow the answer so far, in order.
    pub fn risky(&self, answer: &[u32]) -> Vec<u32> {
        let before = &answer[answer.len().saturating_sub(self.window - 1)..];
        let sum: f64 = before.iter().map(|&t| self.surprisal.of(t)).sum();
        let mut found = self.index.followers(before);
        found.retain(|&t| sum + self.surprisal.of(t) > self.threshold);
        found
    }

    /// Whether the finished answer holds a span that the veto knows; see [`crate::safety::trace`].
    ///
    /// # Errors
    /// None for a veto that was made.
    pub fn refuses(&self, answer: &[u32]) -> Result<bool, EvaluationError> {
        let traced = super::trace(answer, self.window, &self.index, &self.surprisal, None)?;
        Ok(super::would_refuse(&traced, self.threshold))
    }
}
