//! How much of an order may be drawn from at a time.

use serde::{Deserialize, Serialize};

use crate::DataError;
use crate::stream::Stream;

/// Share of the order, from its beginning, that is open at a given progress of training.
///
/// With progress `p` from 0 to 1, the share at the start `s` and the progress `e` at which everything is open, `q = min(p/e, 1)`:
///
/// ```text
/// linear       s + (1 − s) q
/// root         (s² + (1 − s²) q)^(1/2)        more early on: equal time for each newly opened part
/// quadratic    s + (1 − s) q²                 less early on
/// exponential  s^(1 − q)                      by equal factors
/// steps        s + (1 − s) ⌊n q⌋ / n          in n equal jumps
/// ```
///
/// Every one of them starts at `s`, does not fall, and reaches 1 at `p = e`.
///
/// Source: root pacing from Platanios et al. 2019, arXiv 1903.09848; the others are the usual alternatives.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pacing {
    /// The curve.
    pub curve: Curve,
    /// Share that is open at the start, above 0.
    pub start: f64,
    /// Progress at which everything is open, above 0 and at most 1.
    pub end: f64,
}

/// The curve of a [`Pacing`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Curve {
    /// In proportion to progress.
    #[default]
    Linear,
    /// By its square root.
    Root,
    /// By its square.
    Quadratic,
    /// By equal factors.
    Exponential,
    /// In so many equal jumps.
    Steps(usize),
}

impl Default for Pacing {
    fn default() -> Self {
        Self { curve: Curve::Linear, start: 0.2, end: 0.8 }
    }
}

impl Pacing {
    /// Checks the values.
    ///
    /// # Errors
    /// A start or an end outside (0, 1], no step.
    pub fn check(&self) -> Result<(), DataError> {
        for (key, value) in [("pacing.start", self.start), ("pacing.end", self.end)] {
            if !(value > 0.0 && value <= 1.0) {
                return Err(DataError::config(key, value, "must lie above 0 and not above 1"));
            }
        }
        match self.curve {
            Curve::Steps(0) => Err(DataError::config("pacing.curve.steps", 0, "must be at least 1")),
            _ => Ok(()),
        }
    }

    /// The open share at `progress`, which is held between 0 and 1.
    ///
    /// ```
    /// use tropism_data::curriculum::Pacing;
    /// let pacing = Pacing::default(); // linear from 0.2, all open at 0.8
    /// assert_eq!([0.0, 0.4, 0.8, 1.0].map(|p| (10.0 * pacing.share(p)).round()), [2.0, 6.0, 10.0, 10.0]);
    /// ```
    pub fn share(&self, progress: f64) -> f64 {
        let (s, q) = (self.start, (progress / self.end).clamp(0.0, 1.0));
        if q >= 1.0 {
            return 1.0;
        }
        let share = match self.curve {
            Curve::Linear => s + (1.0 - s) * q,
            Curve::Root => (s * s + (1.0 - s * s) * q).sqrt(),
            Curve::Quadratic => s + (1.0 - s) * q * q,
            Curve::Exponential => s.powf(1.0 - q),
            Curve::Steps(n) => s + (1.0 - s) * (n as f64 * q).floor() / n as f64,
        };
        share.min(1.0)
    }

    /// Rows that are open: the share of `rows`, rounded up, at least one.
    pub fn open(&self, progress: f64, rows: usize) -> usize {
        ((self.share(progress) * rows as f64).ceil() as usize).clamp(1, rows.max(1))
    }
}

/// Batches drawn from the open beginning of an order.
///
/// A batch depends on the seed and its step only, so a run goes on from any step without further state. Inside a batch no row
/// stands twice; over batches rows are drawn with replacement, which is what pacing does: early rows are seen more often.
///
/// ```
/// use tropism_data::curriculum::{Paced, Pacing};
/// let paced = Paced::new(100, 10, Pacing::default(), 7)?;
/// assert!(paced.batch(0, 8).iter().all(|&place| place < 20));
/// assert_eq!(paced.batch(9, 100).len(), 100);
/// # Ok::<(), tropism_data::DataError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Paced {
    rows: usize,
    steps: usize,
    pacing: Pacing,
    seed: u64,
}

impl Paced {
    /// Batches over `steps` steps from an order of `rows` rows.
    ///
    /// # Errors
    /// As [`Pacing::check`]; no rows or no steps.
    pub fn new(rows: usize, steps: usize, pacing: Pacing, seed: u64) -> Result<Self, DataError> {
        pacing.check()?;
        for (key, value) in [("rows", rows), ("steps", steps)] {
            if value == 0 {
                return Err(DataError::config(key, 0, "must be at least 1"));
            }
        }
        Ok(Self { rows, steps, pacing, seed })
    }

    /// Rows that are open in a step, from 0; in the last step all are, as training then has come to its end.
    pub fn open(&self, step: usize) -> usize {
        let progress = if self.steps == 1 { 1.0 } else { step as f64 / (self.steps - 1) as f64 };
        self.pacing.open(progress, self.rows)
    }

    /// Places of the order to learn in a step: `size` of them, or as many as are open.
    pub fn batch(&self, step: usize, size: usize) -> Vec<usize> {
        let open = self.open(step);
        let mut stream = Stream::new(self.seed, &format!("curriculum/paced/{step}"));
        // Floyd's sample without replacement, then in random order
        let mut picked: Vec<usize> = Vec::with_capacity(size.min(open));
        for last in open - size.min(open)..open {
            let drawn = stream.below(last + 1);
            picked.push(if picked.contains(&drawn) { last } else { drawn });
        }
        stream.shuffle(&mut picked);
        picked
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn curves() -> impl Strategy<Value = Curve> {
        let fixed = [Curve::Linear, Curve::Root, Curve::Quadratic, Curve::Exponential];
        prop_oneof![prop::sample::select(fixed.to_vec()), (1usize..9).prop_map(Curve::Steps)]
    }

    #[test]
    fn nonsense_is_refused() {
        for (start, end, curve) in
            [(0.0, 1.0, Curve::Linear), (1.1, 1.0, Curve::Linear), (0.5, 0.0, Curve::Root), (0.5, f64::NAN, Curve::Root)]
        {
            assert!(Pacing { curve, start, end }.check().is_err());
        }
        assert!(Pacing { curve: Curve::Steps(0), ..Pacing::default() }.check().is_err());
        assert!(Paced::new(0, 1, Pacing::default(), 0).is_err() && Paced::new(1, 0, Pacing::default(), 0).is_err());
    }

    #[test]
    fn batches_are_even_over_what_is_open() {
        let paced = Paced::new(40, 4000, Pacing { start: 0.25, end: 1.0, curve: Curve::Steps(1) }, 1).unwrap();
        let mut counts = [0usize; 10];
        (0..3000).for_each(|step| paced.batch(step, 3).into_iter().for_each(|place| counts[place] += 1));
        // 900 each, five standard deviations
        assert!(counts.iter().all(|count| count.abs_diff(900) < 140), "{counts:?}");
    }

    proptest! {
        #[test]
        fn pacing_starts_rises_and_reaches_one(curve in curves(), start in 0.01f64..=1.0, end in 0.05f64..=1.0) {
            let pacing = Pacing { curve, start, end };
            pacing.check().unwrap();
            prop_assert!((pacing.share(0.0) - start).abs() < 1e-12);
            prop_assert_eq!(pacing.share(end), 1.0);
            prop_assert_eq!(pacing.share(1.0), 1.0);
            let shares: Vec<f64> = (0..=100).map(|i| pacing.share(f64::from(i) / 100.0)).collect();
            prop_assert!(shares.windows(2).all(|w| w[0] <= w[1] + 1e-12), "{:?}", shares);
            prop_assert!(shares.iter().all(|share| (start - 1e-12..=1.0).contains(share)));
        }

        #[test]
        fn batches_hold_each_open_row_at_most_once(
            rows in 1usize..60, steps in 1usize..20, size in 1usize..30, curve in curves(), seed in any::<u64>(),
        ) {
            let paced = Paced::new(rows, steps, Pacing { curve, ..Pacing::default() }, seed).unwrap();
            for step in 0..steps {
                let batch = paced.batch(step, size);
                prop_assert_eq!(batch.len(), size.min(paced.open(step)));
                let distinct: std::collections::BTreeSet<_> = batch.iter().collect();
                prop_assert_eq!(distinct.len(), batch.len());
                prop_assert!(batch.iter().all(|&place| place < paced.open(step)));
                prop_assert_eq!(paced.batch(step, size), batch);
            }
            prop_assert_eq!(paced.open(steps - 1), rows);
        }
    }
}
