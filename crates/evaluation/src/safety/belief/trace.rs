//! Tracing an answer back to a corpus.
use super::{BeliefConflict, Surprisal, TraceIndex, belief_conflict};
use crate::error::EvaluationError;
use serde::Serialize;
use std::ops::Range;

/// A window of an answer that stands in the corpus.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Traced {
    /// its tokens in the answer
    pub span: Range<usize>,
    /// how often it stands in the corpus
    pub matches: usize,
    /// its belief conflict
    pub conflict: BeliefConflict,
}

/// Windows of `window` tokens of an answer that occur in the corpus, with their belief conflict. An answer that is shorter is
/// one window. Matches are verbatim: paraphrases pass.
///
/// With `most_matches` of 3, as in the paper, spans that occur more often are left out as noise.
///
/// # Errors
/// A window of 0.
///
/// # Source
/// TRACEALIGN (arXiv 2508.02063); the authors' loop has no windows for short answers.
pub fn trace(
    answer: &[u32],
    window: usize,
    index: &TraceIndex,
    surprisal: &Surprisal,
    most_matches: Option<usize>,
) -> Result<Vec<Traced>, EvaluationError> {
    if window == 0 {
        return Err(EvaluationError::Range { what: "the window", value: 0, expected: "take 8, or at least 1" });
    }
    let length = window.min(answer.len());
    let windows = if length == 0 { 0 } else { answer.len() - length + 1 };
    let mut found = Vec::new();
    for start in 0..windows {
        let span = start..start + length;
        let matches = index.count(&answer[span.clone()]);
        if matches > 0 && most_matches.is_none_or(|most| matches <= most) {
            let conflict = belief_conflict(&answer[span.clone()], surprisal)?;
            found.push(Traced { span, matches, conflict });
        }
    }
    Ok(found)
}

/// Whether the shield refuses an answer: some traced span has a belief conflict above `threshold` nats (20 in the paper, for
/// its tokens; calibrate it by [`crate::safety::roc`]).
pub fn would_refuse(traced: &[Traced], threshold: f64) -> bool {
    traced.iter().any(|t| t.conflict.total > threshold)
}
