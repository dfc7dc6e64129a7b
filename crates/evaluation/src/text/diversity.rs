//! How varied texts are.
use super::bleu::{Bleu, BleuCounts};
use super::ngrams::ngrams;
use crate::error::EvaluationError;
use crate::figures::mean;
use crate::stats::Figure;
use serde::Serialize;
use std::collections::HashMap;
use std::hash::Hash;

/// Different n-grams of a corpus.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Distinct {
    /// different n-grams as a share of all; falls as a corpus grows, so compare corpora of one size
    pub rate: f64,
    /// different n-grams
    pub distinct: usize,
    /// all n-grams
    pub total: usize,
}

/// distinct-n: different n-grams of all texts as a share of all n-grams. It has no interval: resampled texts repeat
/// themselves, which lowers it.
///
/// # Errors
/// No text with an n-gram.
///
/// # Source
/// Li et al. 2016, "A diversity-promoting objective function for neural conversation models".
pub fn distinct_n<T: Eq + Hash>(texts: &[&[T]], n: usize) -> Result<Distinct, EvaluationError> {
    let counts = corpus(texts, n)?;
    let total = counts.values().sum();
    Ok(Distinct { rate: counts.len() as f64 / total as f64, distinct: counts.len(), total })
}

/// Entropy of the n-grams of all texts in nats: `−Σ f log f`.
///
/// # Errors
/// No text with an n-gram.
///
/// # Source
/// Zhang et al. 2018, "Generating informative and diverse conversational responses" (Ent-n).
pub fn entropy_n<T: Eq + Hash>(texts: &[&[T]], n: usize) -> Result<f64, EvaluationError> {
    let counts = corpus(texts, n)?;
    let total = counts.values().sum::<usize>() as f64;
    // sums in a fixed order: that of a map differs between runs
    let mut counts: Vec<usize> = counts.into_values().collect();
    counts.sort_unstable();
    Ok(counts.into_iter().map(|c| c as f64 / total).map(|f| -f * f.ln()).sum())
}

/// self-BLEU: mean BLEU of each text against all others; high where texts resemble each other. The interval treats the
/// texts as independent, which their shared references make slightly optimistic.
///
/// # Errors
/// Fewer than two texts.
///
/// # Source
/// Zhu et al. 2018, "Texygen".
pub fn self_bleu<T: Eq + Hash>(texts: &[&[T]], bleu: &Bleu) -> Result<Figure, EvaluationError> {
    if texts.len() < 2 {
        let expected = "each text is compared with the others; give at least 2";
        return Err(EvaluationError::Range { what: "texts", value: texts.len(), expected });
    }
    let scores: Vec<f64> =
        against_others(texts, bleu.order)?.iter().map(|c| c.score(bleu.smoothing, bleu.effective_order)).collect();
    mean("scores", &scores)
}

/// Counts of each text with all others as its references. An n-gram's clip is its largest count in another text, so the two
/// largest counts of each n-gram say it for all texts.
fn against_others<T: Eq + Hash>(texts: &[&[T]], order: usize) -> Result<Vec<BleuCounts>, EvaluationError> {
    let lengths: Vec<usize> = texts.iter().map(|t| t.len()).collect();
    let nearest = |i: usize| {
        let others = lengths.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, l)| *l);
        others.min_by_key(|l| (l.abs_diff(lengths[i]), *l)).unwrap_or_default()
    };
    let mut all: Vec<BleuCounts> = texts
        .iter()
        .enumerate()
        .map(|(i, t)| BleuCounts::unmatched(t.len(), nearest(i), order))
        .collect::<Result<_, _>>()?;
    for n in 1..=order {
        let counts: Vec<_> = texts.iter().map(|t| ngrams(t, n)).collect();
        // largest count, whose it is, and the largest of the others
        let mut top: HashMap<&[T], (usize, usize, usize)> = HashMap::new();
        for (i, counts) in counts.iter().enumerate() {
            for (gram, &count) in counts {
                let (best, owner, second) = top.get(gram).copied().unwrap_or((0, i, 0));
                top.insert(gram, if count > best { (count, i, best) } else { (best, owner, second.max(count)) });
            }
        }
        for (i, (counts, found)) in counts.iter().zip(&mut all).enumerate() {
            let clip = |gram: &[T]| top.get(gram).map_or(0, |&(best, owner, second)| if owner == i { second } else { best });
            found.matches[n - 1] = counts.iter().map(|(gram, &count)| count.min(clip(gram))).sum();
        }
    }
    Ok(all)
}

fn corpus<'a, T: Eq + Hash>(texts: &[&'a [T]], n: usize) -> Result<HashMap<&'a [T], usize>, EvaluationError> {
    let mut counts: HashMap<&[T], usize> = HashMap::new();
    for (gram, count) in texts.iter().flat_map(|t| ngrams(t, n)) {
        *counts.entry(gram).or_default() += count;
    }
    if counts.is_empty() { Err(EvaluationError::Empty { what: "the list of n-grams" }) } else { Ok(counts) }
}
