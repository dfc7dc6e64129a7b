//! Pairs by one aspect with margins from the others.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::options::tied_options;
use super::{Link, Links, Scores, all_pairs, best_worst};
use crate::DataError;

/// Which pairs of an aspect are taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Taken {
    /// Every pair.
    #[default]
    All,
    /// The best against the worst.
    BestWorst,
}

tied_options! {
    /// Options of [`aspect_pairs`].
    AspectPairs = "aspect_pairs" {
        /// The aspect that pairs are labelled by.
        aspect: String = String::new();
        /// Weights of the other aspects in the margin; those not named weigh nothing.
        others: BTreeMap<String, f64> = BTreeMap::new();
        /// Which pairs are taken.
        pairs: Taken = Taken::All;
    }
}

impl AspectPairs {
    /// Checks the values.
    ///
    /// # Errors
    /// No aspect; no other aspects; an aspect on both sides; a weight that is negative or not finite.
    pub fn check(&self) -> Result<(), DataError> {
        if self.aspect.is_empty() {
            return Err(DataError::config("aspect", "not set", "name the aspect that pairs are labelled by"));
        }
        if self.others.is_empty() {
            return Err(DataError::config("others", "empty", "give weights, as `others = { honesty = 0.5 }`"));
        }
        for (name, &weight) in &self.others {
            if *name == self.aspect {
                return Err(DataError::config(
                    &format!("others.{name}"),
                    weight,
                    "is the aspect that pairs are labelled by",
                ));
            }
            if !(weight >= 0.0 && weight.is_finite()) {
                return Err(DataError::config(&format!("others.{name}"), weight, "must be 0 or more"));
            }
        }
        self.rule().check()
    }
}

/// A pair by one aspect, and what the other aspects say about it.
#[derive(Debug, Clone, PartialEq)]
pub struct AspectLink {
    /// The pair.
    pub link: Link,
    /// `Σ w_i m_i` of the other aspects: of the chosen and of the rejected response.
    pub others: [f64; 2],
    /// Chosen minus rejected, for each aspect in the order given. Its sign is the aspect's direction: 1 where it agrees with
    /// the label, −1 where it objects.
    pub margins: Vec<f64>,
}

/// Pairs of one aspect's scores with the weighted scores of the other aspects (MODPO).
///
/// `aspects[a][i]` is aspect `a` of response `i`, `names[a]` its name, and `scores` the scores of the labelled aspect. Counts are
/// those of [`all_pairs()`](super::all_pairs()) or [`best_worst()`](super::best_worst()) on these. The sums are what MODPO's loss
/// reads as `other_rewards/chosen` and `other_rewards/rejected`: `w_{−k}ᵀ m`, to be on the scale of the labelled aspect.
///
/// Source: Zhou et al. 2024, arXiv 2310.03708.
///
/// ```
/// use tropism_data::construct::{AspectPairs, Scores, aspect_pairs};
/// let options = AspectPairs { others: [("short".to_owned(), 0.5)].into(), ..AspectPairs::default() };
/// let (helpful, short) = ([4.0, 2.0], [-3.0, 1.0]);
/// let (pairs, _) = aspect_pairs(&Scores::new("k", &helpful)?, &["helpful", "short"], &[&helpful, &short], &options);
/// assert_eq!(pairs[0].others, [-1.5, 0.5]);
/// assert_eq!(pairs[0].margins, [2.0, -4.0]); // the second aspect objects
/// # Ok::<(), tropism_data::DataError>(())
/// ```
pub fn aspect_pairs(
    scores: &Scores<'_>,
    names: &[&str],
    aspects: &[&[f64]],
    options: &AspectPairs,
) -> (Vec<AspectLink>, Links) {
    let links = match options.pairs {
        Taken::All if scores.len() < 2 => Links::skipped(super::FEW),
        Taken::All => Links::between(scores, all_pairs::every(&scores.order()), &options.rule()),
        Taken::BestWorst => best_worst(scores, &super::BestWorst { ties: options.ties, tie_margin: options.tie_margin }),
    };
    let weights: Vec<f64> = names.iter().map(|name| options.others.get(*name).copied().unwrap_or(0.0)).collect();
    let sum = |response: usize| weights.iter().zip(aspects).map(|(w, values)| w * values[response]).sum();
    let full = links.links.iter().map(|&link| AspectLink {
        link,
        others: [sum(link.chosen), sum(link.rejected)],
        margins: aspects.iter().map(|values| values[link.chosen] - values[link.rejected]).collect(),
    });
    (full.collect(), links)
}
