//! ROUGE.
use super::ngrams::ngrams;
use crate::error::EvaluationError;
use crate::figures::mean;
use crate::stats::Figure;
use serde::Serialize;
use std::hash::Hash;

/// Precision, recall and F1 of what two texts share.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Overlap {
    /// share of the candidate
    pub precision: f64,
    /// share of the reference
    pub recall: f64,
    /// their harmonic mean; 0 where nothing is shared
    pub f1: f64,
}

impl Overlap {
    fn of(shared: usize, candidate: usize, reference: usize) -> Self {
        let share = |of: usize| if of == 0 { 0.0 } else { shared as f64 / of as f64 };
        let (precision, recall) = (share(candidate), share(reference));
        let f1 = if shared == 0 { 0.0 } else { 2.0 * precision * recall / (precision + recall) };
        Self { precision, recall, f1 }
    }
}

/// ROUGE-L: the longest common subsequence, as a share of candidate and reference.
///
/// # Source
/// Lin 2004, with F1 as in rouge-score.
pub fn rouge_l<T: Eq>(candidate: &[T], reference: &[T]) -> Overlap {
    // lengths of the longest common subsequences of a prefix of the candidate with each prefix of the reference
    let mut row = vec![0; reference.len() + 1];
    for c in candidate {
        let mut diagonal = 0;
        for (j, r) in reference.iter().enumerate() {
            let longest = if c == r { diagonal + 1 } else { row[j + 1].max(row[j]) };
            diagonal = std::mem::replace(&mut row[j + 1], longest);
        }
    }
    Overlap::of(row[reference.len()], candidate.len(), reference.len())
}

/// ROUGE-n: n-grams that candidate and reference share, each as often as it occurs in both.
///
/// # Source
/// Lin 2004, with F1 as in rouge-score.
pub fn rouge_n<T: Eq + Hash>(candidate: &[T], reference: &[T], n: usize) -> Overlap {
    let (ours, theirs) = (ngrams(candidate, n), ngrams(reference, n));
    let shared = ours.iter().map(|(gram, &count)| count.min(theirs.get(gram).copied().unwrap_or(0))).sum();
    Overlap::of(shared, ours.values().sum(), theirs.values().sum())
}

/// Mean F1 of texts with its interval.
///
/// # Errors
/// No texts.
pub fn mean_overlap(overlaps: &[Overlap]) -> Result<Figure, EvaluationError> {
    mean("overlaps", &overlaps.iter().map(|o| o.f1).collect::<Vec<_>>())
}
