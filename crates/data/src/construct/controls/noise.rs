//! Label noise.

use crate::stream::Stream;

/// Which pairs are swapped: each with probability `share`, drawn by the seed and the pair's key alone, so that other pairs
/// change nothing, and a larger share only adds to a smaller one.
///
/// The number of swaps is binomial: `share · n` on average.
///
/// ```
/// use tropism_data::construct::controls::flips;
/// let keys = ["a", "b", "c"].map(str::to_owned);
/// assert_eq!(flips(&keys, 0.0, 7), [false; 3]);
/// assert_eq!(flips(&keys, 1.0, 7), [true; 3]);
/// ```
pub fn flips(keys: &[String], share: f64, seed: u64) -> Vec<bool> {
    keys.iter().map(|key| Stream::new(seed, &format!("construct/label_noise/{key}")).uniform() < share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_larger_share_only_adds() {
        let keys: Vec<String> = (0..4000).map(|i| i.to_string()).collect();
        let (few, many) = (flips(&keys, 0.1, 3), flips(&keys, 0.3, 3));
        assert!(few.iter().zip(&many).all(|(few, many)| !few || *many));
        let count = |flips: &[bool]| flips.iter().filter(|&&flip| flip).count();
        // five standard deviations
        assert!(count(&few).abs_diff(400) < 96 && count(&many).abs_diff(1200) < 145, "{} {}", count(&few), count(&many));
        assert_ne!(few, flips(&keys, 0.1, 4));
    }
}
