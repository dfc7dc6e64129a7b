//! Learning rates over the steps of a stage.
use serde::{Deserialize, Serialize};

/// What follows the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// half a cosine, down to 0
    #[default]
    Cosine,
    /// a straight line, down to 0
    Linear,
    /// the peak to the end
    Constant,
}

/// Factor on the peak learning rate at `step` (from 0) of `total`, after `warmup` steps that rise in a straight line.
///
/// The warm-up's step s has `(s + 1) / warmup`, so that no step is spent at a rate of 0; the last step of a decay is
/// one step above 0.
///
/// ```
/// use tropism_trainer::{learning_rate, Schedule};
/// let rates: Vec<f64> = (0..6).map(|s| learning_rate(Schedule::Linear, s, 6, 2)).collect();
/// assert_eq!(rates, [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]);
/// ```
pub fn learning_rate(schedule: Schedule, step: usize, total: usize, warmup: usize) -> f64 {
    if step < warmup {
        return (step + 1) as f64 / warmup as f64;
    }
    let progress = (step - warmup) as f64 / total.saturating_sub(warmup).max(1) as f64;
    match schedule {
        Schedule::Constant => 1.0,
        Schedule::Linear => 1.0 - progress.min(1.0),
        Schedule::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * progress.min(1.0)).cos()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosine_starts_at_the_peak_and_falls() {
        let rates: Vec<f64> = (0..100).map(|s| learning_rate(Schedule::Cosine, s, 100, 10)).collect();
        assert_eq!((rates[0], rates[9], rates[10]), (0.1, 1.0, 1.0));
        assert!(rates[10..].windows(2).all(|w| w[1] < w[0]) && rates[99] > 0.0 && rates[99] < 1e-3);
        assert!((rates[55] - 0.5).abs() < 1e-12);
    }

    #[test]
    fn a_warm_up_longer_than_the_stage_only_rises() {
        let rates: Vec<f64> = (0..4).map(|s| learning_rate(Schedule::Cosine, s, 4, 8)).collect();
        assert_eq!(rates, [0.125, 0.25, 0.375, 0.5]);
        assert_eq!(learning_rate(Schedule::Constant, 7, 8, 0), 1.0);
    }
}
