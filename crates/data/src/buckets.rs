//! Batches of rows of like length, out of a random order.
//!
//! Rows of like length fill a token budget evenly, and a padding model pads less. Sorting all rows by length would
//! show them in the same company in every epoch; so each stretch of the random order is sorted by itself, and the batches are
//! shuffled again.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::DataError;
use crate::batches::batches;
use crate::stream::Stream;

/// How rows are put into batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bucketing {
    /// Most rows of a batch.
    pub max_items: usize,
    /// Most tokens of a batch, all rows together; a row that is longer stands alone. None: no limit.
    pub max_tokens: Option<usize>,
    /// Rows of the random order that are sorted together, in batches of `max_items`; 1 sorts within a batch only, so that
    /// batches are those of the random order.
    pub window: usize,
}

impl Default for Bucketing {
    fn default() -> Self {
        Self { max_items: 8, max_tokens: None, window: 50 }
    }
}

impl Bucketing {
    /// Divides an order of rows (indices into `lengths`) into batches of like length.
    ///
    /// The batches hold every row of the order once. They depend on the order, the lengths, the options and the seed alone,
    /// so an epoch can be made again from the epoch's number; within a batch, longer rows come first.
    ///
    /// ```
    /// use tropism_data::buckets::Bucketing;
    /// use tropism_data::order::Order;
    /// let lengths = [9, 2, 8, 3, 7, 1];
    /// let mut order = Order::new(lengths.len(), 1, true)?;
    /// let options = Bucketing { max_items: 2, max_tokens: None, window: 3 };
    /// let mut batches = options.batches(&order.batch(6), &lengths, 1)?;
    /// batches.sort();
    /// assert_eq!(batches, [[0, 2], [1, 5], [4, 3]]);
    /// # Ok::<(), tropism_data::DataError>(())
    /// ```
    ///
    /// # Errors
    /// A limit of 0; an index without a length.
    pub fn batches(&self, order: &[usize], lengths: &[usize], seed: u64) -> Result<Vec<Vec<usize>>, DataError> {
        if self.window == 0 {
            return Err(DataError::config("window", 0, "at least the rows of one batch are sorted together"));
        }
        if let Some(&row) = order.iter().find(|&&row| row >= lengths.len()) {
            let reason = format!("there are {} lengths; the order belongs to other data", lengths.len());
            return Err(DataError::config("order", row, reason));
        }
        let mut found = Vec::new();
        for window in order.chunks(self.max_items.max(1).saturating_mul(self.window)) {
            let mut rows = window.to_vec();
            // stable: rows of one length stay in the random order
            rows.sort_by_key(|&row| std::cmp::Reverse(lengths[row]));
            let sorted: Vec<usize> = rows.iter().map(|&row| lengths[row]).collect();
            let ranges: Vec<Range<usize>> = batches(&sorted, self.max_tokens, self.max_items)?;
            found.extend(ranges.into_iter().map(|range| rows[range].to_vec()));
        }
        Stream::new(seed, "buckets").shuffle(&mut found);
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::order::Order;
    use proptest::prelude::*;

    #[test]
    fn nonsense_is_refused() {
        let error = |options: Bucketing, order: &[usize]| options.batches(order, &[1, 2], 0).unwrap_err().to_string();
        let sound = Bucketing::default();
        assert!(error(Bucketing { window: 0, ..sound }, &[0]).contains("`window` is 0"));
        assert!(error(Bucketing { max_items: 0, ..sound }, &[0]).contains("`max_items` is 0"));
        assert!(error(Bucketing { max_tokens: Some(0), ..sound }, &[0]).contains("`max_tokens` is 0"));
        assert!(error(sound, &[0, 2]).contains("`order` is 2"));
        assert!(sound.batches(&[], &[], 0).unwrap().is_empty());
    }

    #[test]
    fn a_wide_window_leaves_less_to_pad() {
        let mut stream = Stream::new(3, "lengths");
        let lengths: Vec<usize> = (0..4000).map(|_| 10 + stream.below(500)).collect();
        let order = Order::new(lengths.len(), 3, true).unwrap().batch(lengths.len());
        let padding = |window| {
            let options = Bucketing { max_items: 8, max_tokens: None, window };
            let batches = options.batches(&order, &lengths, 3).unwrap();
            let padded: usize = batches.iter().map(|batch| batch.len() * lengths[batch[0]]).sum();
            padded as f64 / lengths.iter().sum::<usize>() as f64
        };
        // uniform lengths: the longest of eight is 8/9 of the range, so a random batch pads by about 1.7
        assert!(padding(1) > 1.6, "{}", padding(1));
        assert!(padding(50) < 1.05, "{}", padding(50));
    }

    proptest! {
        #[test]
        fn every_row_once_the_same_each_time(
            lengths in prop::collection::vec(0usize..50, 1..80),
            seed in any::<u64>(),
            max_items in 1usize..7,
            max_tokens in prop::option::of(1usize..120),
            window in 1usize..5,
        ) {
            let order = Order::new(lengths.len(), seed, true).unwrap().batch(lengths.len());
            let options = Bucketing { max_items, max_tokens, window };
            let found = options.batches(&order, &lengths, seed).unwrap();
            prop_assert_eq!(&found, &options.batches(&order, &lengths, seed).unwrap());
            let mut rows = found.concat();
            rows.sort_unstable();
            prop_assert_eq!(rows, (0..lengths.len()).collect::<Vec<_>>());
            let limit = max_tokens.unwrap_or(usize::MAX);
            for batch in &found {
                let tokens: usize = batch.iter().map(|&row| lengths[row]).sum();
                prop_assert!(!batch.is_empty() && batch.len() <= max_items);
                prop_assert!(tokens <= limit || batch.len() == 1);
                prop_assert!(batch.windows(2).all(|pair| lengths[pair[0]] >= lengths[pair[1]]));
                // rows of a batch come from one window of the order
                let windows: std::collections::BTreeSet<usize> = batch
                    .iter()
                    .map(|row| order.iter().position(|at| at == row).unwrap() / (max_items * window))
                    .collect();
                prop_assert_eq!(windows.len(), 1);
            }
        }
    }
}
