//! One prompt's responses as constructions see them: a number each.

use std::cmp::Ordering;

use crate::DataError;
use crate::stream::Stream;

/// The scores of one prompt's responses, higher is better, all finite.
///
/// ```
/// use tropism_data::construct::Scores;
/// let scores = Scores::new("which?", &[7.0, 9.0, 3.0, 7.0])?;
/// assert_eq!(scores.order(), [1, 0, 3, 2]); // best first, ties in their own order
/// assert!(Scores::new("which?", &[1.0, f64::NAN]).is_err());
/// # Ok::<(), tropism_data::DataError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Scores<'a> {
    key: &'a str,
    values: &'a [f64],
}

impl<'a> Scores<'a> {
    /// Scores of the responses to the prompt that `key` stands for. Random choices depend on the seed and the key, not on
    /// the place of the prompt in the data, so added prompts change nothing for the others.
    ///
    /// # Errors
    /// A score that is not finite.
    pub fn new(key: &'a str, values: &'a [f64]) -> Result<Self, DataError> {
        match values.iter().find(|value| !value.is_finite()) {
            None => Ok(Self { key, values }),
            Some(value) => {
                Err(DataError::config("score", value, "a response cannot be ranked by it; fix or remove the row"))
            }
        }
    }

    /// Number of responses.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// True without responses.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The scores.
    pub fn values(&self) -> &'a [f64] {
        self.values
    }

    /// Indices from the best score to the worst; equal scores in the order of their responses.
    pub fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.sort_by(|&a, &b| self.falling(a, b));
        order
    }

    /// As [`Scores::order`], with equal scores in a random order.
    pub fn order_shuffled(&self, stream: &mut Stream) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.len()).collect();
        stream.shuffle(&mut order);
        order.sort_by(|&a, &b| self.falling(a, b));
        order
    }

    fn falling(&self, a: usize, b: usize) -> Ordering {
        // `+ 0.0` makes -0 equal to 0
        (self.values[b] + 0.0).total_cmp(&(self.values[a] + 0.0))
    }

    /// How much better `a` is than `b`.
    pub(super) fn gap(&self, a: usize, b: usize) -> f64 {
        self.values[a] - self.values[b]
    }

    /// The random choices of one construction for this prompt.
    pub(super) fn stream(&self, seed: u64, purpose: &str) -> Stream {
        Stream::new(seed, &format!("construct/{purpose}/{}", self.key))
    }
}

/// `count` places out of `available`, evenly spaced, the first and the last among them: `⌊i (available − 1) / (count − 1) + ½⌋`;
/// of a single one, the first.
///
/// ```
/// use tropism_data::construct::evenly_spaced;
/// assert_eq!(evenly_spaced(26, 8), [0, 4, 7, 11, 14, 18, 21, 25]);
/// assert_eq!(evenly_spaced(3, 3), [0, 1, 2]);
/// ```
pub fn evenly_spaced(available: usize, count: usize) -> Vec<usize> {
    let count = count.min(available);
    let steps = count.saturating_sub(1).max(1);
    // whole numbers: twice the numerator plus the denominator, halved at the end
    (0..count).map(|i| (2 * i * (available - 1) + steps) / (2 * steps)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn negative_zero_ties_with_zero() {
        assert_eq!(Scores::new("", &[-0.0, 0.0, -0.0]).unwrap().order(), [0, 1, 2]);
    }

    proptest! {
        #[test]
        fn places_are_distinct_rising_and_reach_both_ends(available in 1usize..200, count in 1usize..50) {
            let places = evenly_spaced(available, count);
            prop_assert_eq!(places.len(), count.min(available));
            prop_assert!(places.windows(2).all(|w| w[0] < w[1]));
            prop_assert_eq!(places[0], 0);
            if places.len() > 1 {
                prop_assert_eq!(*places.last().unwrap(), available - 1);
                let step = (available - 1) as f64 / (places.len() - 1) as f64;
                for (i, &place) in places.iter().enumerate() {
                    prop_assert!((place as f64 - i as f64 * step).abs() <= 0.5 + 1e-9);
                }
            }
        }

        #[test]
        fn shuffled_order_only_moves_ties(values in prop::collection::vec(-3i32..3, 0..12), seed in any::<u64>()) {
            let values: Vec<f64> = values.into_iter().map(f64::from).collect();
            let scores = Scores::new("k", &values).unwrap();
            let (plain, shuffled) = (scores.order(), scores.order_shuffled(&mut scores.stream(seed, "t")));
            let of = |order: &[usize]| order.iter().map(|&i| values[i]).collect::<Vec<_>>();
            prop_assert_eq!(of(&plain), of(&shuffled));
            let mut sorted = shuffled.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..values.len()).collect::<Vec<_>>());
            prop_assert_eq!(shuffled, scores.order_shuffled(&mut scores.stream(seed, "t")));
        }
    }
}
