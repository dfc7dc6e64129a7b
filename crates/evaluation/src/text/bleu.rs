//! BLEU.
use super::ngrams::ngrams;
use crate::error::{EvaluationError, same_length};
use crate::stats::{Bootstrap, Figure};
use std::collections::HashMap;
use std::hash::Hash;

/// What stands in for a precision without a match.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub enum BleuSmoothing {
    /// nothing: BLEU is then 0
    None,
    /// this number of matches instead of none, such as 0.1
    Floor(f64),
    /// this number of matches and n-grams more, at every order above 1
    AddK(f64),
    /// half a match the first time, a quarter the second time, …: sacrebleu's default
    #[default]
    Exp,
}

/// How BLEU is computed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bleu {
    /// longest n-grams
    pub order: usize,
    /// what stands in for a precision without a match
    pub smoothing: BleuSmoothing,
    /// average only over orders of which the candidate has n-grams; sacrebleu does this for single sentences
    pub effective_order: bool,
}

impl Default for Bleu {
    /// BLEU-4 as sacrebleu computes it for a corpus.
    fn default() -> Self {
        Self { order: 4, smoothing: BleuSmoothing::Exp, effective_order: false }
    }
}

/// What BLEU is computed from; counts of texts add up to those of their corpus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BleuCounts {
    /// n-grams also found in a reference, by order
    pub matches: Vec<usize>,
    /// n-grams of the candidate, by order
    pub totals: Vec<usize>,
    /// tokens of the candidate
    pub candidate: usize,
    /// tokens of the reference of nearest length, of the shorter one where two are as near
    pub reference: usize,
}

impl BleuCounts {
    /// Counts of one text against its references.
    ///
    /// # Errors
    /// No references; an order of 0.
    pub fn of<T: Eq + Hash>(candidate: &[T], references: &[&[T]], order: usize) -> Result<Self, EvaluationError> {
        let by_distance = |r: &&&[T]| (r.len().abs_diff(candidate.len()), r.len());
        let nearest = references.iter().min_by_key(by_distance).ok_or(EvaluationError::Empty { what: "references" })?;
        let matched = |n: usize| {
            let mut most: HashMap<&[T], usize> = HashMap::new();
            for (gram, count) in references.iter().flat_map(|r| ngrams(r, n)) {
                let entry = most.entry(gram).or_default();
                *entry = count.max(*entry);
            }
            ngrams(candidate, n).into_iter().map(|(gram, count)| count.min(most.get(gram).copied().unwrap_or(0))).sum()
        };
        let counts = Self::unmatched(candidate.len(), nearest.len(), order)?;
        Ok(Self { matches: (1..=order).map(matched).collect(), ..counts })
    }

    /// Counts of a candidate before anything has been looked up.
    pub(super) fn unmatched(candidate: usize, reference: usize, order: usize) -> Result<Self, EvaluationError> {
        if order == 0 {
            return Err(EvaluationError::Range { what: "BLEU's order", value: 0, expected: "take 4, or at least 1" });
        }
        let totals = (1..=order).map(|n| (candidate + 1).saturating_sub(n)).collect();
        Ok(Self { matches: vec![0; order], totals, candidate, reference })
    }

    /// BLEU of these counts, between 0 and 1: `BP · exp(mean log pₙ)`, `BP = exp(1 − r/c)` for candidates shorter than their
    /// references.
    ///
    /// # Source
    /// Papineni et al. 2002; smoothing by Chen and Cherry 2014, as in sacrebleu, which prints percent.
    pub fn score(&self, smoothing: BleuSmoothing, effective_order: bool) -> f64 {
        if self.matches.iter().all(|&m| m == 0) {
            return 0.0;
        }
        let (mut logs, mut halvings) = (Vec::new(), 1.0);
        for (i, (&matches, &total)) in self.matches.iter().zip(&self.totals).enumerate() {
            let more = if let (BleuSmoothing::AddK(k), true) = (smoothing, i > 0) { k } else { 0.0 };
            let (matches, total) = (matches as f64 + more, total as f64 + more);
            if total == 0.0 {
                break;
            }
            logs.push(match smoothing {
                _ if matches > 0.0 => (matches / total).ln(),
                BleuSmoothing::Floor(floor) => (floor / total).ln(),
                BleuSmoothing::Exp => {
                    halvings *= 2.0;
                    -(halvings * total).ln()
                }
                _ => f64::NEG_INFINITY,
            });
        }
        if !effective_order && logs.len() < self.matches.len() {
            return 0.0;
        }
        let (c, r) = (self.candidate as f64, self.reference as f64);
        let brevity = if c < r { (1.0 - r / c).exp() } else { 1.0 };
        brevity * (logs.iter().sum::<f64>() / logs.len() as f64).exp()
    }

    fn add(mut self, other: &Self) -> Self {
        self.matches.iter_mut().zip(&other.matches).for_each(|(a, b)| *a += b);
        self.totals.iter_mut().zip(&other.totals).for_each(|(a, b)| *a += b);
        self.candidate += other.candidate;
        self.reference += other.reference;
        self
    }
}

/// BLEU of a corpus: counts are added up before precisions are taken. `references` holds all references of each candidate.
/// The interval is a bootstrap over texts.
///
/// # Errors
/// No texts, a text without references, slices of unequal length, an order of 0, too few resamples.
///
/// # Source
/// Papineni et al. 2002; Koehn 2004 for the interval.
pub fn corpus_bleu<T: Eq + Hash>(
    candidates: &[&[T]],
    references: &[Vec<&[T]>],
    bleu: &Bleu,
    bootstrap: Bootstrap,
) -> Result<Figure, EvaluationError> {
    same_length("references", candidates.len(), references.len())?;
    let counts: Vec<BleuCounts> =
        candidates.iter().zip(references).map(|(c, r)| BleuCounts::of(c, r, bleu.order)).collect::<Result<_, _>>()?;
    let empty = BleuCounts { matches: vec![0; bleu.order], totals: vec![0; bleu.order], candidate: 0, reference: 0 };
    bootstrap.rows(counts.len(), |rows| {
        let sum = rows.iter().fold(empty.clone(), |sum, &row| sum.add(&counts[row]));
        sum.score(bleu.smoothing, bleu.effective_order)
    })
}
