//! Rankings of K responses, for losses on lists.

use serde::{Deserialize, Serialize};

use super::options::options;
use super::{Scores, evenly_spaced};
use crate::DataError;

/// How relevant an item of a ranking is, for losses that weigh items by it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relevance {
    /// 1 for so many of the best items, 0 for the others.
    Best(usize),
    /// The score less the lowest of the ranking.
    AboveLowest,
    /// One grade more for each of these bounds that the score reaches.
    Grades(Vec<f64>),
}

options! {
    /// Options of [`ranking`].
    Ranking = "ranking" {
        /// Responses per ranking; none: all there are, at least two.
        size: Option<usize> = None;
        /// Grades of the items (IRPO); none: rankings without.
        relevance: Option<Relevance> = None;
    }
}

impl Ranking {
    /// Checks the values.
    ///
    /// # Errors
    /// A size below two; bounds of grades that do not rise; no relevant item.
    pub fn check(&self) -> Result<(), DataError> {
        if let Some(size) = self.size.filter(|&size| size < 2) {
            return Err(DataError::config("size", size, "a ranking needs at least 2 responses"));
        }
        match &self.relevance {
            Some(Relevance::Best(0)) => Err(DataError::config("relevance.best", 0, "must be at least 1")),
            Some(Relevance::Grades(bounds)) if bounds.is_empty() || !bounds.windows(2).all(|w| w[0] < w[1]) => {
                Err(DataError::config("relevance.grades", format!("{bounds:?}"), "needs at least one bound, rising"))
            }
            _ => Ok(()),
        }
    }
}

/// A ranking of responses, by their index in the list.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranked {
    /// From best to worst.
    pub order: Vec<usize>,
    /// Relevance of each item in that order, where asked for.
    pub relevance: Option<Vec<f64>>,
    /// Neighbours with equal scores, whose order is drawn.
    pub ties: usize,
}

/// The responses of a prompt from best to worst; of more than `size`, so many that are evenly spaced by rank, best and worst
/// among them. Equal scores are put in an order drawn by seed and prompt, since losses on rankings know no ties.
///
/// Rankings: 1 per prompt with at least `size` responses, of exactly that length. For Plackett–Luce and LiPO; with grades for
/// in-context ranking (IRPO, arXiv 2504.15477: relevance 0, 1, 2 and the target place of each item).
///
/// ```
/// use tropism_data::construct::{Ranking, Relevance, Scores, ranking};
/// let options = Ranking { size: Some(3), relevance: Some(Relevance::Best(1)) };
/// let ranked = ranking(&Scores::new("k", &[0.1, 0.5, 0.9, 0.7, 0.3])?, &options, 7)?;
/// assert_eq!(ranked.order, [2, 1, 0]);
/// assert_eq!(ranked.relevance.as_deref(), Some(&[1.0, 0.0, 0.0][..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Why the prompt gives no ranking.
pub fn ranking(scores: &Scores<'_>, options: &Ranking, seed: u64) -> Result<Ranked, &'static str> {
    let wanted = options.size.unwrap_or(scores.len());
    if scores.len() < wanted.max(2) {
        return Err(super::FEW);
    }
    let all = scores.order_shuffled(&mut scores.stream(seed, Ranking::NAME));
    let order: Vec<usize> = evenly_spaced(all.len(), wanted).into_iter().map(|place| all[place]).collect();
    let values: Vec<f64> = order.iter().map(|&i| scores.values()[i]).collect();
    let relevance = options.relevance.as_ref().map(|rule| grades(&values, rule));
    let ties = values.windows(2).filter(|w| w[0] == w[1]).count();
    Ok(Ranked { order, relevance, ties })
}

/// Grades of falling scores.
fn grades(values: &[f64], rule: &Relevance) -> Vec<f64> {
    let lowest = values.last().copied().unwrap_or(0.0);
    let grade = |(place, &value): (usize, &f64)| match rule {
        Relevance::Best(count) => f64::from(u8::from(place < *count)),
        Relevance::AboveLowest => value - lowest,
        Relevance::Grades(bounds) => bounds.iter().filter(|&&bound| value >= bound).count() as f64,
    };
    values.iter().enumerate().map(grade).collect()
}
