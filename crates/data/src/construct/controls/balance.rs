//! Lengths of the sides.

use crate::stream::Stream;

/// Rows whose longer side is at most `ratio` times the shorter one, in their order. `lengths` are of the chosen and the rejected
/// side.
///
/// ```
/// use tropism_data::construct::controls::within_ratio;
/// assert_eq!(within_ratio(&[[10, 20], [10, 21], [7, 7]], 2.0), [0, 2]);
/// ```
pub fn within_ratio(lengths: &[[usize; 2]], ratio: f64) -> Vec<usize> {
    let fits = |sides: &[usize; 2]| sides[0].max(sides[1]) as f64 <= ratio * sides[0].min(sides[1]) as f64;
    (0..lengths.len()).filter(|&row| fits(&lengths[row])).collect()
}

/// Rows that stay so that the chosen side is the longer one exactly as often as the rejected one, in their order. Of the more
/// frequent case so many are drawn as there are of the other: `2 min(longer, shorter) + equal` rows stay.
///
/// Preferences are confounded with length where judges like long answers; a policy then learns to be long.
///
/// ```
/// use tropism_data::construct::controls::balance;
/// let lengths = [[3, 1], [1, 2], [9, 2], [5, 5]];
/// assert_eq!(balance(&lengths, 7).len(), 3);
/// ```
pub fn balance(lengths: &[[usize; 2]], seed: u64) -> Vec<usize> {
    let (mut longer, mut shorter, mut kept) = (Vec::new(), Vec::new(), Vec::new());
    for (row, [chosen, rejected]) in lengths.iter().enumerate() {
        match chosen.cmp(rejected) {
            std::cmp::Ordering::Greater => longer.push(row),
            std::cmp::Ordering::Less => shorter.push(row),
            std::cmp::Ordering::Equal => kept.push(row),
        }
    }
    let least = longer.len().min(shorter.len());
    let mut stream = Stream::new(seed, "construct/balance");
    for mut side in [longer, shorter] {
        stream.shuffle(&mut side);
        kept.extend(side.into_iter().take(least));
    }
    kept.sort_unstable();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn both_cases_are_equally_frequent(lengths in prop::collection::vec([0usize..5, 0usize..5], 0..40), seed in any::<u64>()) {
            let count = |rows: &[usize], case| rows.iter().filter(|&&r| lengths[r][0].cmp(&lengths[r][1]) == case).count();
            let all: Vec<usize> = (0..lengths.len()).collect();
            let kept = balance(&lengths, seed);
            use std::cmp::Ordering::*;
            prop_assert_eq!(count(&kept, Greater), count(&kept, Less));
            prop_assert_eq!(count(&kept, Greater), count(&all, Greater).min(count(&all, Less)));
            prop_assert_eq!(count(&kept, Equal), count(&all, Equal));
            prop_assert!(kept.windows(2).all(|w| w[0] < w[1]));
            prop_assert_eq!(balance(&lengths, seed), kept);
        }
    }
}
