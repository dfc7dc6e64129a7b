//! Neighbours in the ranking.

use super::options::tied_options;
use super::{Links, Scores};

tied_options! {
    /// Options of [`adjacent`].
    Adjacent = "adjacent" {}
}

/// Each response against the next one in the ranking.
///
/// Pairs of `K` responses with `U` different scores: `U − 1`, and `K − 1` where ties are kept. The gaps add up to that of the
/// best against the worst.
///
/// ```
/// use tropism_data::construct::{Adjacent, Scores, adjacent};
/// let links = adjacent(&Scores::new("k", &[7.0, 9.0, 3.0])?, &Adjacent::default()).links;
/// let pairs: Vec<_> = links.iter().map(|link| (link.chosen, link.rejected)).collect();
/// assert_eq!(pairs, [(1, 0), (0, 2)]);
/// # Ok::<(), tropism_data::DataError>(())
/// ```
pub fn adjacent(scores: &Scores<'_>, options: &Adjacent) -> Links {
    if scores.len() < 2 {
        return Links::skipped(super::FEW);
    }
    Links::between(scores, scores.order().windows(2).map(|w| (w[0], w[1])), &options.rule())
}
