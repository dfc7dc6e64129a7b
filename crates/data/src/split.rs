//! Division into a train and a test side by prompt.

use crate::DataError;
use crate::digest::of_parts;

/// Divides `items` so that all items of one prompt stand on the same side.
///
/// `prompt` gives each item's key, for instance [`crate::record::Pair::prompt_key`]. A key goes to the test side
/// where the first 64 bits of SHA-256 over seed and key, read as a number in [0, 1), lie below
/// `test_fraction`. So the side of a prompt depends on nothing but the seed, the fraction and the prompt itself:
/// added rows move no others, and a larger fraction only adds to the test side. Order is kept.
///
/// ```
/// use tropism_data::split::split_by_prompt;
/// let items: Vec<u32> = (0..100).collect();
/// let (train, test) = split_by_prompt(items, |i| (i / 2).to_string(), 0.3, 7)?;
/// assert_eq!(train.len() + test.len(), 100);
/// assert!(test.iter().all(|i| test.contains(&(i ^ 1))));
/// # Ok::<(), tropism_data::DataError>(())
/// ```
///
/// # Errors
/// A fraction outside (0, 1), or a side that would be empty.
pub fn split_by_prompt<T>(
    items: Vec<T>,
    prompt: impl Fn(&T) -> String,
    test_fraction: f64,
    seed: u64,
) -> Result<(Vec<T>, Vec<T>), DataError> {
    if !(test_fraction > 0.0 && test_fraction < 1.0) {
        return Err(DataError::config("test_fraction", test_fraction, "must lie between 0 and 1, both excluded"));
    }
    let count = items.len();
    let (test, train): (Vec<T>, Vec<T>) = items.into_iter().partition(|item| position(&prompt(item), seed) < test_fraction);
    if train.is_empty() || test.is_empty() {
        let side = if train.is_empty() { "train" } else { "test" };
        let reason =
            format!("the {side} side of {count} items would be empty; change the fraction or the seed, or add data");
        return Err(DataError::config("test_fraction", test_fraction, reason));
    }
    Ok((train, test))
}

/// Where a key lies in [0, 1).
fn position(key: &str, seed: u64) -> f64 {
    let digest = of_parts(&[b"split", &seed.to_le_bytes(), key.as_bytes()]);
    let mut head = [0; 8];
    head.copy_from_slice(&digest[..8]);
    // 53 bits, so that the quotient is exact and below 1
    (u64::from_be_bytes(head) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn refuses_empty_sides_and_bad_fractions() {
        let key = |i: &u32| i.to_string();
        for fraction in [0.0, 1.0, -0.1, f64::NAN, f64::INFINITY] {
            let error = split_by_prompt(vec![1, 2, 3], key, fraction, 1).unwrap_err();
            assert!(error.to_string().contains("must lie between"), "{error}");
        }
        let error = split_by_prompt(vec![1, 1, 1], key, 0.5, 1).unwrap_err();
        assert!(error.to_string().contains("would be empty"), "{error}");
        assert!(split_by_prompt(Vec::new(), key, 0.5, 1).is_err());
    }

    #[test]
    fn the_share_is_about_the_fraction() {
        let (_, test) = split_by_prompt((0..10_000).collect(), |i: &u32| i.to_string(), 0.1, 3).unwrap();
        // four standard deviations of a binomial count
        assert!((test.len() as f64 - 1000.0).abs() < 120.0, "{}", test.len());
    }

    #[test]
    fn seeds_differ() {
        let split = |seed| split_by_prompt((0..200).collect(), |i: &u32| i.to_string(), 0.5, seed).unwrap().1;
        assert_ne!(split(1), split(2));
    }

    proptest! {
        #[test]
        fn prompts_stay_together_and_added_rows_move_none(
            items in prop::collection::vec((0u8..30, 0u32..1000), 60..120),
            more in prop::collection::vec((0u8..60, 0u32..1000), 0..50),
            seed in any::<u64>(),
        ) {
            let key = |item: &(u8, u32)| item.0.to_string();
            let Ok((train, test)) = split_by_prompt(items.clone(), key, 0.4, seed) else { return Ok(()) };
            let prompts = |side: &[(u8, u32)]| side.iter().map(|i| i.0).collect::<BTreeSet<_>>();
            prop_assert!(prompts(&train).is_disjoint(&prompts(&test)));
            prop_assert_eq!(train.len() + test.len(), items.len());
            let (grown_train, grown_test) = split_by_prompt([items, more].concat(), key, 0.4, seed).unwrap();
            prop_assert_eq!(&grown_train[..train.len()], &train[..]);
            prop_assert_eq!(&grown_test[..test.len()], &test[..]);
        }
    }
}
