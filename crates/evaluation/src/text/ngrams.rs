//! Counts of n-grams.
use std::collections::HashMap;
use std::hash::Hash;

/// How often each n-gram occurs. Lengths of 0 have none.
pub(super) fn ngrams<T: Eq + Hash>(tokens: &[T], n: usize) -> HashMap<&[T], usize> {
    let mut counts = HashMap::new();
    if n > 0 {
        tokens.windows(n).for_each(|gram| *counts.entry(gram).or_default() += 1);
    }
    counts
}
