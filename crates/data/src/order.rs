//! The order in which rows are seen, epoch by epoch, resumable at any point.
//!
//! [`crate::buckets`] makes batches of rows of like length out of it.

use serde::{Deserialize, Serialize};

use crate::DataError;
use crate::stream::Stream;

/// Endless sequence of row indices: each epoch sees every row once.
///
/// With `shuffle`, the order of epoch e is a shuffle by the stream of the seed and the name `order/e`, so it
/// depends on nothing but row count, seed and epoch; otherwise it is 0, 1, 2 and so on.
///
/// ```
/// use tropism_data::order::Order;
/// let mut order = Order::new(5, 1, true)?;
/// let first = order.batch(3);
/// let state = order.state();
/// let second = order.batch(3);
/// assert_eq!((first.len(), second.len()), (3, 2)); // the epoch ends here
/// assert_eq!(Order::restore(&state)?.batch(3), second);
/// # Ok::<(), tropism_data::DataError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Order {
    state: OrderState,
    indices: Vec<usize>,
}

/// Position of an [`Order`], enough to continue it exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderState {
    /// Number of rows.
    pub rows: usize,
    /// Seed of the shuffles.
    pub seed: u64,
    /// Whether epochs are shuffled.
    pub shuffle: bool,
    /// Epoch of the next index, from 0.
    pub epoch: u64,
    /// Indices of this epoch already given, below `rows`.
    pub position: usize,
}

impl Order {
    /// The order's beginning.
    ///
    /// # Errors
    /// Where there are no rows.
    pub fn new(rows: usize, seed: u64, shuffle: bool) -> Result<Self, DataError> {
        Self::restore(&OrderState { rows, seed, shuffle, epoch: 0, position: 0 })
    }

    /// The order that stands where `state` says.
    ///
    /// # Errors
    /// Where there are no rows or the position is not below their number.
    pub fn restore(state: &OrderState) -> Result<Self, DataError> {
        if state.rows == 0 {
            return Err(DataError::config("rows", 0, "an order needs at least one row"));
        }
        if state.position >= state.rows {
            let reason = format!("must be below the number of rows, {}; the state belongs to other data", state.rows);
            return Err(DataError::config("position", state.position, reason));
        }
        let mut order = Self { state: *state, indices: (0..state.rows).collect() };
        order.arrange();
        Ok(order)
    }

    fn arrange(&mut self) {
        if self.state.shuffle {
            self.indices.iter_mut().enumerate().for_each(|(i, index)| *index = i);
            Stream::new(self.state.seed, &format!("order/{}", self.state.epoch)).shuffle(&mut self.indices);
        }
    }

    /// Where the order stands.
    pub fn state(&self) -> OrderState {
        self.state
    }

    /// Indices left in the current epoch, at least one.
    pub fn left(&self) -> usize {
        self.state.rows - self.state.position
    }

    /// The next index; after an epoch's last one the next epoch begins.
    pub fn next_index(&mut self) -> usize {
        let index = self.indices[self.state.position];
        self.state.position += 1;
        if self.state.position == self.state.rows {
            self.state.epoch += 1;
            self.state.position = 0;
            self.arrange();
        }
        index
    }

    /// The next `n` indices of the current epoch, fewer at its end.
    pub fn batch(&mut self, n: usize) -> Vec<usize> {
        self.take(n.min(self.left()))
    }

    /// The next `n` indices, going on into the next epoch where one ends.
    pub fn take(&mut self, n: usize) -> Vec<usize> {
        (0..n).map(|_| self.next_index()).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_nonsense() {
        assert!(Order::new(0, 1, true).is_err());
        let state = OrderState { rows: 3, seed: 1, shuffle: true, epoch: 0, position: 3 };
        assert!(Order::restore(&state).unwrap_err().to_string().contains("`position` is 3"));
    }

    #[test]
    fn unshuffled_is_the_file_order() {
        assert_eq!(Order::new(3, 1, false).unwrap().take(7), [0, 1, 2, 0, 1, 2, 0]);
    }

    #[test]
    fn epochs_and_seeds_differ() {
        let mut order = Order::new(50, 1, true).unwrap();
        let (first, second) = (order.batch(99), order.batch(99));
        assert_eq!((first.len(), second.len()), (50, 50));
        assert_ne!(first, second);
        assert_ne!(first, Order::new(50, 2, true).unwrap().batch(50));
        assert_ne!(first, (0..50).collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn each_epoch_covers_every_row_once(rows in 1usize..40, seed in any::<u64>(), n in 1usize..50) {
            let mut order = Order::new(rows, seed, true).unwrap();
            for epoch in 0..3 {
                let mut seen = Vec::new();
                while order.state().epoch == epoch {
                    let batch = order.batch(n);
                    prop_assert!(!batch.is_empty() && batch.len() <= n);
                    seen.extend(batch);
                }
                prop_assert_eq!(order.state().position, 0);
                seen.sort_unstable();
                prop_assert_eq!(seen, (0..rows).collect::<Vec<_>>());
            }
        }

        #[test]
        fn resumes_identically(rows in 1usize..40, seed in any::<u64>(), skip in 0usize..150, shuffle: bool) {
            let mut order = Order::new(rows, seed, shuffle).unwrap();
            order.take(skip);
            let json = serde_json::to_string(&order.state()).unwrap();
            let mut again = Order::restore(&serde_json::from_str(&json).unwrap()).unwrap();
            prop_assert_eq!(again.take(100), order.take(100));
            prop_assert_eq!(again.state(), order.state());
        }
    }
}
