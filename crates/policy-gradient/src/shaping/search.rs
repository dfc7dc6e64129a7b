//! Rewards of an agent's searches: what a search adds to what is known, minus what it repeats.

use tropism_core::CoreError;

use crate::PolicyGradientError;

/// One search: the documents it found.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchRound {
    /// A number for each document found, the same for the same document in all rounds.
    pub documents: Vec<usize>,
    /// Similarity, from 0 to 1, of each document with each gold document: `[documents, gold]` row by row.
    pub similarities: Vec<f64>,
}

/// What a search earned.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct SearchStep {
    /// How much closer the best documents came to the gold ones, averaged over these; the gains of an episode sum to at most
    /// 1.
    pub gain: f64,
    /// The share of the documents that were found before.
    pub redundancy: f64,
}

impl SearchStep {
    /// Gain minus redundancy; StepSearch pays 0.6 of it at the token that closes the search.
    pub fn reward(&self) -> f64 {
        self.gain - self.redundancy
    }
}

/// Gains and redundancies of the searches of one episode with `gold` gold documents.
///
/// With `c_k(j)` the largest similarity of a document of round `k` with gold document `j`, and `best_k(j)` the largest of
/// all rounds before `k`, 0 at first:
///
/// ```text
/// gain_k = mean_j max(c_k(j) − best_k(j), 0)        redundancy_k = |found before| / |found|
/// ```
///
/// A round that found nothing has neither.
///
/// Source: StepSearch, Wang et al. 2025, arXiv 2505.15107, without the doubled addition of its code.
///
/// # Errors
/// [`CoreError::Empty`] without gold documents; [`CoreError::SizeMismatch`]; [`PolicyGradientError::Entry`] for a similarity
/// outside 0 to 1.
///
/// ```
/// use tropism_policy_gradient::{SearchRound, search_steps};
///
/// let round = SearchRound { documents: vec![3], similarities: vec![0.5, 0.25] };
/// let found = search_steps(&[round.clone(), round], 2)?;
/// assert_eq!((found[0].gain, found[0].redundancy), (0.375, 0.0));
/// assert_eq!((found[1].gain, found[1].redundancy, found[1].reward()), (0.0, 1.0, -1.0));
/// # Ok::<(), tropism_policy_gradient::PolicyGradientError>(())
/// ```
pub fn search_steps(rounds: &[SearchRound], gold: usize) -> Result<Vec<SearchStep>, PolicyGradientError> {
    if gold == 0 {
        return Err(CoreError::Empty { what: "gold documents" }.into());
    }
    let (mut best, mut seen, mut steps) = (vec![0.0_f64; gold], Vec::new(), Vec::new());
    for round in rounds {
        let found = round.documents.len();
        CoreError::check_size("similarities", found * gold, round.similarities.len())?;
        let share = |s: f64| (0.0..=1.0).contains(&s);
        PolicyGradientError::check_entries("similarities", &round.similarities, share, "from 0 to 1")?;
        let mut gain = 0.0;
        for (j, best) in best.iter_mut().enumerate() {
            let closest = round.similarities.iter().skip(j).step_by(gold).fold(0.0_f64, |m, &s| m.max(s));
            gain += (closest - *best).max(0.0) / gold as f64;
            *best = best.max(closest);
        }
        let repeated = round.documents.iter().filter(|d| seen.contains(*d)).count();
        steps.push(SearchStep { gain, redundancy: repeated as f64 / found.max(1) as f64 });
        seen.extend(&round.documents);
    }
    Ok(steps)
}
