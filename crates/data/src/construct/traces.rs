//! Right and wrong traces of reasoning (REDI).

use serde::{Deserialize, Serialize};

use super::options::options;
use super::{Links, Scores, TieRule};

/// Which right and wrong traces meet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Traced {
    /// The first right one against the first wrong one, in stored order.
    #[default]
    First,
    /// Every right one against every wrong one.
    All,
}

options! {
    /// Options of [`traces`].
    Traces = "traces" {
        /// Which traces meet.
        pairs: Traced = Traced::First;
        /// A trace is right where its score is above this.
        threshold: f64 = 0.5;
    }
}

/// What the traces of a problem are good for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TraceSets {
    /// The right ones, for supervised fine-tuning.
    pub positives: Vec<usize>,
    /// Right against wrong.
    pub links: Links,
}

/// Two data sets from verified traces: all right ones for the first, supervised stage, and pairs of right and wrong ones for
/// the second.
///
/// Positives: the right traces `r`. Pairs: 1 (`first`) or `r · w` (`all`) for a problem with `r ≥ 1` right and `w ≥ 1` wrong
/// traces, else none. A problem without wrong traces still gives positives.
///
/// Source: REDI, arXiv 2505.24850, and the authors' data scripts (`first`).
///
/// ```
/// use tropism_data::construct::{Scores, Traced, Traces, traces};
/// let options = Traces { pairs: Traced::All, ..Traces::default() };
/// let sets = traces(&Scores::new("k", &[0.0, 1.0, 0.0, 1.0])?, &options);
/// assert_eq!((sets.positives, sets.links.links.len()), (vec![1, 3], 4));
/// # Ok::<(), tropism_data::DataError>(())
/// ```
pub fn traces(scores: &Scores<'_>, options: &Traces) -> TraceSets {
    let (right, wrong): (Vec<usize>, Vec<usize>) = (0..scores.len()).partition(|&i| scores.values()[i] > options.threshold);
    let links = match (options.pairs, right.first(), wrong.first()) {
        (Traced::First, Some(&r), Some(&w)) => Links::between(scores, [(r, w)], &TieRule::default()),
        (Traced::All, Some(_), Some(_)) => {
            let pairs = right.iter().flat_map(|&r| wrong.iter().map(move |&w| (r, w)));
            Links::between(scores, pairs, &TieRule::default())
        }
        _ => Links::skipped("not both right and wrong traces"),
    };
    TraceSets { positives: right, links }
}
