//! Curry-DPO's ranked pairs.

use super::options::tied_options;
use super::{Links, Scores, evenly_spaced};
use crate::DataError;

tied_options! {
    /// Options of [`curry`].
    Curry = "curry" {
        /// Responses per prompt, evenly spaced by rank; none: all.
        responses: Option<usize> = None;
    }
}

impl Curry {
    /// Checks the values.
    ///
    /// # Errors
    /// Fewer than two responses.
    pub fn check(&self) -> Result<(), DataError> {
        match self.responses {
            Some(responses) if responses < 2 => Err(DataError::config("responses", responses, "must be at least 2")),
            _ => Ok(()),
        }
    }
}

/// The best response against every other, in stages from the worst (easy) to the second best (hard).
///
/// With responses `R_1 … R_K` from best to worst, stage `k = 0 … K − 2` holds `(R_1, R_{K−k})`. Pairs without ties: `K − 1`, one
/// per stage; gaps do not rise over the stages. A prompt with fewer responses than asked for gives none, so every stage has
/// the same prompts. Stages by the gap over all prompts instead: build these pairs, then a curriculum by `score_gap` with equal
/// parts.
///
/// In training each stage starts from the policy of the one before, which is also its reference.
///
/// Source: Pattnaik et al. 2024, arXiv 2403.07230; leaving out ties is our choice.
///
/// ```
/// use tropism_data::construct::{Curry, Scores, Ties, curry};
/// let options = Curry { ties: Ties::Drop, ..Curry::default() };
/// let links = curry(&Scores::new("k", &[9.0, 7.0, 7.0, 3.0])?, &options).links;
/// let stages: Vec<_> = links.iter().map(|link| (link.stage, link.chosen, link.rejected, link.gap)).collect();
/// assert_eq!(stages, [(Some(0), 0, 3, 6.0), (Some(1), 0, 2, 2.0), (Some(2), 0, 1, 2.0)]);
/// # Ok::<(), tropism_data::DataError>(())
/// ```
pub fn curry(scores: &Scores<'_>, options: &Curry) -> Links {
    let order = scores.order();
    let wanted = options.responses.unwrap_or(order.len());
    if order.len() < wanted.max(2) {
        return Links::skipped(super::FEW);
    }
    let ranked: Vec<usize> = evenly_spaced(order.len(), wanted).into_iter().map(|place| order[place]).collect();
    let mut out = Links::default();
    for (stage, &other) in ranked[1..].iter().rev().enumerate() {
        out.add(scores, (ranked[0], other), Some(stage), &options.rule());
    }
    out
}
