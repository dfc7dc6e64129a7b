//! The best response against the worst.

use super::options::tied_options;
use super::{Links, Scores};

tied_options! {
    /// Options of [`best_worst`].
    BestWorst = "best_worst" {}
}

/// One pair per prompt: the response with the highest score against the one with the lowest. Of equal scores the first in the
/// list is best and the last is worst.
///
/// Pairs: 1 where the scores differ, else none (or the tie), none for fewer than two responses. With samples of the policy and
/// the scores of a reward model this is the recipe of on-policy DPO (SimPO's data, *Self+RM* of arXiv 2504.02193).
///
/// ```
/// use tropism_data::construct::{BestWorst, Scores, best_worst};
/// let links = best_worst(&Scores::new("k", &[0.2, 0.9, 0.1])?, &BestWorst::default()).links;
/// assert_eq!((links[0].chosen, links[0].rejected, links.len()), (1, 2, 1));
/// # Ok::<(), tropism_data::DataError>(())
/// ```
pub fn best_worst(scores: &Scores<'_>, options: &BestWorst) -> Links {
    match scores.order()[..] {
        [best, .., worst] => Links::between(scores, [(best, worst)], &options.rule()),
        _ => Links::skipped(super::FEW),
    }
}
