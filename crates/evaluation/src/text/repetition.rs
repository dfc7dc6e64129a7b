//! Texts that repeat themselves.
use super::ngrams::ngrams;
use crate::error::EvaluationError;
use crate::figures::mean;
use crate::stats::Figure;
use serde::Serialize;
use std::hash::Hash;

/// Mean share of a text's n-grams that occurred in it before: `1 − different / all`. Texts without an n-gram count as 0.
///
/// # Errors
/// No texts.
///
/// # Source
/// Welleck et al. 2020, "Neural text generation with unlikelihood training" (seq-rep-n).
pub fn repetition_n<T: Eq + Hash>(texts: &[&[T]], n: usize) -> Result<Figure, EvaluationError> {
    let share = |text: &&[T]| {
        let counts = ngrams(text, n);
        let total: usize = counts.values().sum();
        if total == 0 { 0.0 } else { 1.0 - counts.len() as f64 / total as f64 }
    };
    mean("texts", &texts.iter().map(share).collect::<Vec<_>>())
}

/// The end of a text that repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Loop {
    /// tokens of what is repeated
    pub period: usize,
    /// how often it stands there in full
    pub times: usize,
}

/// The loop in which a text ends: what is repeated has up to `max_period` tokens and stands there at least `min_times` times.
/// Of several, the one that covers most tokens, and the shortest of those: this is how a sampler that is stuck looks.
pub fn ending_loop<T: Eq>(text: &[T], max_period: usize, min_times: usize) -> Option<Loop> {
    let found = (1..=max_period.min(text.len())).map(|period| {
        let same = text.iter().rev().zip(text.iter().rev().skip(period)).take_while(|(a, b)| a == b).count();
        Loop { period, times: 1 + same / period }
    });
    let repeated = found.filter(|l| l.times >= min_times.max(2));
    repeated.max_by_key(|l| (l.period * l.times, std::cmp::Reverse(l.period)))
}
