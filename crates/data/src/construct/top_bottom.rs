//! The best few against the worst few.

use serde::{Deserialize, Serialize};

use super::options::tied_options;
use super::{Links, Scores};
use crate::DataError;

/// Who meets whom.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Meeting {
    /// Each of the top meets each of the bottom.
    #[default]
    All,
    /// The i-th best meets the i-th worst.
    Matched,
}

tied_options! {
    /// Options of [`top_bottom`].
    TopBottom = "top_bottom" {
        /// How many of the best are chosen sides.
        top: usize = 2;
        /// How many of the worst are rejected sides.
        bottom: usize = 2;
        /// Who meets whom.
        pairs: Meeting = Meeting::All;
    }
}

impl TopBottom {
    /// Checks the values.
    ///
    /// # Errors
    /// No top or no bottom; sides of different size that are to be matched.
    pub fn check(&self) -> Result<(), DataError> {
        for (key, value) in [("top", self.top), ("bottom", self.bottom)] {
            if value == 0 {
                return Err(DataError::config(key, 0, "must be at least 1"));
            }
        }
        if self.pairs == Meeting::Matched && self.top != self.bottom {
            return Err(DataError::config(
                "bottom",
                self.bottom,
                format!("must be `top`, {}, to match one to one", self.top),
            ));
        }
        Ok(())
    }
}

/// The `top` best responses against the `bottom` worst.
///
/// Pairs without ties: `top · bottom`, or `top` where they are matched; none for a prompt with fewer than `top + bottom`
/// responses.
///
/// ```
/// use tropism_data::construct::{Scores, TopBottom, top_bottom};
/// let links = top_bottom(&Scores::new("k", &[1.0, 2.0, 3.0, 4.0, 5.0])?, &TopBottom::default()).links;
/// let pairs: Vec<_> = links.iter().map(|link| (link.chosen, link.rejected)).collect();
/// assert_eq!(pairs, [(4, 0), (4, 1), (3, 0), (3, 1)]);
/// # Ok::<(), tropism_data::DataError>(())
/// ```
pub fn top_bottom(scores: &Scores<'_>, options: &TopBottom) -> Links {
    let order = scores.order();
    if order.len() < options.top + options.bottom {
        return Links::skipped(super::FEW);
    }
    let (top, bottom) = (&order[..options.top], order[order.len() - options.bottom..].iter().rev());
    let pairs: Vec<(usize, usize)> = match options.pairs {
        Meeting::All => top.iter().flat_map(|&a| bottom.clone().map(move |&b| (a, b))).collect(),
        Meeting::Matched => top.iter().copied().zip(bottom.copied()).collect(),
    };
    Links::between(scores, pairs, &options.rule())
}
