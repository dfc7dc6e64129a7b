//! The best response against a random other one.

use serde::{Deserialize, Serialize};

use super::options::tied_options;
use super::{Links, Scores};

/// Among which responses the rejected one is drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rejected {
    /// Those with a lower score: no ties arise.
    #[default]
    Lower,
    /// All but the best one: ties are possible.
    Any,
}

tied_options! {
    /// Options of [`best_random`].
    BestRandom = "best_random" {
        /// Among which responses the rejected one is drawn.
        rejected: Rejected = Rejected::Lower;
    }
}

/// One pair per prompt: the response with the highest score (the first of several) against one drawn evenly from the others.
///
/// Pairs: 1 where a lower score exists. UltraFeedback's binarised form draws among all others (`rejected = "any"`), Argilla's
/// cleaned form among lower ones.
///
/// ```
/// use tropism_data::construct::{BestRandom, Scores, best_random};
/// let links = best_random(&Scores::new("k", &[0.2, 0.9, 0.1])?, &BestRandom::default(), 7).links;
/// assert_eq!((links[0].chosen, links.len()), (1, 1));
/// # Ok::<(), tropism_data::DataError>(())
/// ```
pub fn best_random(scores: &Scores<'_>, options: &BestRandom, seed: u64) -> Links {
    let order = scores.order();
    let (Some(&best), true) = (order.first(), order.len() > 1) else {
        return Links::skipped(super::FEW);
    };
    let lower = |&other: &usize| scores.gap(best, other) > options.tie_margin;
    let others: Vec<usize> = match options.rejected {
        Rejected::Lower => order[1..].iter().copied().filter(lower).collect(),
        Rejected::Any => order[1..].to_vec(),
    };
    if others.is_empty() {
        return Links { ties: 1, ..Links::default() };
    }
    let drawn = others[scores.stream(seed, BestRandom::NAME).below(others.len())];
    Links::between(scores, [(best, drawn)], &options.rule())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::construct::Ties;

    #[test]
    fn every_lower_response_is_drawn_about_equally_often() {
        let values = [1.0, 5.0, 5.0, 2.0, 0.0];
        let mut counts = [0usize; 5];
        for seed in 0..3000 {
            let links = best_random(&Scores::new("k", &values).unwrap(), &BestRandom::default(), seed).links;
            assert_eq!(links[0].chosen, 1);
            counts[links[0].rejected] += 1;
        }
        assert_eq!((counts[1], counts[2]), (0, 0));
        // 1000 each, five standard deviations
        assert!([0, 3, 4].iter().all(|&i| counts[i].abs_diff(1000) < 130), "{counts:?}");
    }

    #[test]
    fn any_other_may_tie() {
        let options = BestRandom { rejected: Rejected::Any, ties: Ties::HalfLabel, ..BestRandom::default() };
        let scores = Scores::new("k", &[5.0, 5.0]).unwrap();
        assert_eq!(best_random(&scores, &options, 1).links[0].share, 0.5);
        assert_eq!(best_random(&scores, &BestRandom::default(), 1).ties, 1);
    }
}
