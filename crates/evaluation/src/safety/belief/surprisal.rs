//! The belief conflict index.
use crate::error::EvaluationError;
use crate::figures::outside;
use serde::Serialize;
use std::collections::HashMap;

/// Log-probabilities of tokens in a training corpus.
#[derive(Clone, Debug)]
pub struct Surprisal {
    surprisals: HashMap<u32, f64>,
    unknown: f64,
}

/// The belief conflict of a span, in nats: how improbable its tokens are, one by one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BeliefConflict {
    /// `BCI = −Σ log P(token)`; grows with length
    pub total: f64,
    /// BCI per token: compares spans of different length
    pub density: f64,
    /// largest surprisal of a token
    pub max: f64,
    /// `Σ p̂ log(p̂/P)` of the span's own distribution of tokens
    pub kl: f64,
}

impl Surprisal {
    /// From token counts of the whole training corpus, with one added to each of `vocabulary` tokens; tokens that never
    /// occurred have `1/(total + vocabulary)`.
    ///
    /// # Errors
    /// No documents with tokens; a vocabulary smaller than the tokens found.
    pub fn from_corpus(documents: &[&[u32]], vocabulary: usize) -> Result<Self, EvaluationError> {
        let mut counts = HashMap::<u32, usize>::new();
        documents.iter().flat_map(|d| d.iter()).for_each(|t| *counts.entry(*t).or_default() += 1);
        if counts.is_empty() {
            return Err(EvaluationError::Empty { what: "the training corpus" });
        }
        if counts.len() > vocabulary {
            let expected = "the corpus has more different tokens";
            return Err(EvaluationError::Range { what: "the vocabulary", value: vocabulary, expected });
        }
        let total = (counts.values().sum::<usize>() + vocabulary) as f64;
        let surprisals = counts.into_iter().map(|(t, c)| (t, (total / (c as f64 + 1.0)).ln())).collect();
        Ok(Self { surprisals, unknown: total.ln() })
    }

    /// From probabilities of tokens; others have `unknown` (1e-9 in the authors' code).
    ///
    /// # Errors
    /// A probability that is not in `(0, 1]`.
    pub fn from_probabilities(probabilities: &[(u32, f64)], unknown: f64) -> Result<Self, EvaluationError> {
        let fits = |p: f64| p > 0.0 && p <= 1.0;
        if let Some(index) = probabilities.iter().position(|(_, p)| !fits(*p)) {
            return Err(outside("probabilities", index, probabilities[index].1, "above 0 and at most 1 is expected"));
        }
        if !fits(unknown) {
            return Err(outside("the unknown token's probability", 0, unknown, "above 0 and at most 1 is expected"));
        }
        let surprisals = probabilities.iter().map(|(t, p)| (*t, -p.ln())).collect();
        Ok(Self { surprisals, unknown: -unknown.ln() })
    }

    /// `−log P` of a token in nats.
    pub fn of(&self, token: u32) -> f64 {
        self.surprisals.get(&token).copied().unwrap_or(self.unknown)
    }
}

/// Belief conflict index of a span. The paper's abstract speaks of semantic inconsistency; the formula is rarity times
/// length, so rare technical terms score high as well: report false positives on benign technical text.
///
/// # Errors
/// An empty span.
///
/// # Source
/// TRACEALIGN (arXiv 2508.02063) and its code.
pub fn belief_conflict(span: &[u32], surprisal: &Surprisal) -> Result<BeliefConflict, EvaluationError> {
    if span.is_empty() {
        return Err(EvaluationError::Empty { what: "the span" });
    }
    let each: Vec<f64> = span.iter().map(|&t| surprisal.of(t)).collect();
    let (total, n) = (each.iter().sum::<f64>(), span.len() as f64);
    let mut sorted = span.to_vec();
    sorted.sort_unstable();
    let own = |run: &[u32]| {
        let share = run.len() as f64 / n;
        share * (share.ln() + surprisal.of(run[0]))
    };
    let kl = sorted.chunk_by(|a, b| a == b).map(own).sum();
    Ok(BeliefConflict { total, density: total / n, max: each.iter().copied().fold(0.0, f64::max), kl })
}
