//! Every pair of responses.

use super::options::tied_options;
use super::{Links, Scores};

tied_options! {
    /// Options of [`all_pairs`].
    AllPairs = "all_pairs" {}
}

/// Every pair of responses, the better one chosen, from the best response's pairs to the worst's.
///
/// Pairs of `K` responses with tied groups of `t_1, t_2, …`: `K (K − 1) / 2 − Σ t_i (t_i − 1) / 2`, and all `K (K − 1) / 2` where
/// ties are kept. Every pair carries its gap, which losses with margins read.
///
/// ```
/// use tropism_data::construct::{AllPairs, Scores, all_pairs};
/// let links = all_pairs(&Scores::new("k", &[7.0, 9.0, 7.0, 3.0])?, &AllPairs::default());
/// assert_eq!((links.links.len(), links.ties), (5, 1));
/// # Ok::<(), tropism_data::DataError>(())
/// ```
pub fn all_pairs(scores: &Scores<'_>, options: &AllPairs) -> Links {
    if scores.len() < 2 {
        return Links::skipped(super::FEW);
    }
    Links::between(scores, every(&scores.order()), &options.rule())
}

/// Every pair of entries, the earlier one first.
pub(super) fn every(order: &[usize]) -> impl Iterator<Item = (usize, usize)> {
    order.iter().enumerate().flat_map(|(i, &a)| order[i + 1..].iter().map(move |&b| (a, b)))
}
