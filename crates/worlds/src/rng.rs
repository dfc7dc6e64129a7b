//! A seeded random stream whose draws do not change with library versions.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A ChaCha8 stream chosen by a seed and a name: streams of different names are independent.
pub(crate) struct Stream(ChaCha8Rng);

impl Stream {
    pub(crate) fn new(seed: u64, name: &str) -> Self {
        let mut key = [0; 32];
        let mut state = seed;
        for part in key.chunks_exact_mut(8) {
            part.copy_from_slice(&split_mix(&mut state).to_le_bytes());
        }
        let mut rng = ChaCha8Rng::from_seed(key);
        rng.set_stream(fnv(name));
        Self(rng)
    }

    /// A number in `[0, 1)` with 53 random bits.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number in `0..bound`, all equally likely; 0 for a bound of 0 or 1.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let bound = bound as u64;
        if bound < 2 {
            return 0;
        }
        // Draws under the largest multiple of the bound have no bias.
        let limit = u64::MAX - u64::MAX % bound;
        loop {
            let draw = self.0.next_u64();
            if draw < limit {
                return (draw % bound) as usize;
            }
        }
    }

    /// Whether an event of probability `chance` happens.
    pub(crate) fn happens(&mut self, chance: f64) -> bool {
        self.unit() < chance
    }

    /// An index with probability in proportion to its weight; weights are finite, not negative,
    /// and not all zero.
    pub(crate) fn weighted(&mut self, weights: &[f64]) -> usize {
        let mut left = self.unit() * weights.iter().sum::<f64>();
        let mut last = 0;
        for (index, &weight) in weights.iter().enumerate() {
            if weight > 0.0 {
                last = index;
                if left < weight {
                    break;
                }
                left -= weight;
            }
        }
        last
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            let other = self.below(end + 1);
            items.swap(end, other);
        }
    }
}

/// SplitMix64: spreads a small seed over a key.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// FNV-1a, 64 bits.
fn fnv(name: &str) -> u64 {
    name.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_of_the_published_generators() {
        // First output of SplitMix64 at seed 0, and FNV-1a of "a".
        assert_eq!(split_mix(&mut 0), 0xE220_A839_7B1D_CDAF);
        assert_eq!(fnv("a"), 0xAF63_DC4C_8601_EC8C);
    }

    #[test]
    fn streams_follow_seed_and_name() {
        let draws = |seed, name| {
            let mut stream = Stream::new(seed, name);
            [(); 4].map(|()| stream.below(1 << 40))
        };
        assert_eq!(draws(1, "a"), draws(1, "a"));
        assert_ne!(draws(1, "a"), draws(2, "a"));
        assert_ne!(draws(1, "a"), draws(1, "b"));
    }

    #[test]
    fn draws_are_spread_evenly() {
        let mut stream = Stream::new(7, "even");
        let (mut counts, mut sum) = ([0; 5], 0.0);
        for _ in 0..50_000 {
            counts[stream.below(5)] += 1;
            sum += stream.unit();
        }
        // Five standard deviations.
        assert!(counts.iter().all(|&count| (9553..10_447).contains(&count)), "{counts:?}");
        assert!((sum / 50_000.0 - 0.5).abs() < 0.0065, "{sum}");
        assert_eq!((stream.below(0), stream.below(1)), (0, 0));
    }

    #[test]
    fn weights_are_respected() {
        let mut stream = Stream::new(7, "weights");
        let mut counts = [0; 4];
        for _ in 0..40_000 {
            counts[stream.weighted(&[0.0, 3.0, 1.0, 0.0])] += 1;
        }
        assert_eq!((counts[0], counts[3]), (0, 0));
        assert!((29_560..30_440).contains(&counts[1]), "{counts:?}");
    }

    #[test]
    fn a_shuffle_reaches_every_order_alike() {
        let mut stream = Stream::new(7, "orders");
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..24_000 {
            let mut items = [0, 1, 2, 3];
            stream.shuffle(&mut items);
            *counts.entry(items).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 24);
        assert!(counts.values().all(|count| (840..1160).contains(count)), "{counts:?}");
    }
}
