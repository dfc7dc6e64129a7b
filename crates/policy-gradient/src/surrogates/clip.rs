//! The clipped minimum that most surrogates share.

use dfdx::prelude::*;
use tropism_core::LossTerms;

use super::common::{Common, Evaluated, Scored, Surrogate, evaluate};
use crate::row::{RatioLevel, Row};
use crate::{PolicyGradientError, Rollout};

/// Bounds of the importance ratio.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clip {
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// Cap of the ratio that is not clipped.
    pub(crate) cap: Option<f64>,
    pub(crate) level: RatioLevel,
}

/// A token at a ratio.
struct Point {
    value: f64,
    /// In the log-ratio.
    slope: f64,
    low: bool,
    high: bool,
}

impl Clip {
    /// `−min(min(r, cap) A, clamp(r, 1 − low, 1 + high) A)` at a log-ratio.
    fn at(&self, log_ratio: f64, advantage: f64) -> Point {
        if advantage == 0.0 {
            return Point { value: 0.0, slope: 0.0, low: false, high: false };
        }
        let ratio = log_ratio.exp();
        let capped = self.cap.is_some_and(|cap| ratio > cap);
        let free = self.cap.map_or(ratio, |cap| ratio.min(cap)) * advantage;
        let clipped = ratio.clamp(1.0 - self.low, 1.0 + self.high) * advantage;
        let slope = if free <= clipped && !capped { -free } else { 0.0 };
        let low = ratio < 1.0 - self.low && advantage < 0.0;
        Point { value: -free.min(clipped), slope, low, high: ratio > 1.0 + self.high && advantage > 0.0 }
    }
}

impl Surrogate for Clip {
    fn level(&self) -> RatioLevel {
        self.level
    }

    fn score(&self, row: &Row, weights: &[f64]) -> Scored {
        let ratios = self.level.log_ratios(row);
        let points: Vec<Point> = ratios.iter().zip(&row.advantages).map(|(&r, &a)| self.at(r, a)).collect();
        let slopes = points.iter().zip(weights).map(|(p, w)| p.slope * w).collect();
        Scored {
            values: points.iter().map(|p| p.value).collect(),
            slopes: self.level.pull(slopes),
            low: points.iter().map(|p| p.low).collect(),
            high: points.iter().map(|p| p.high).collect(),
            figure: None,
        }
    }

    fn empty(&self, advantage: f64) -> f64 {
        if self.level == RatioLevel::SequenceSum { -advantage } else { 0.0 }
    }
}

/// Options of a method of the clip family that the loss reads.
pub(crate) trait Clipped {
    /// Bounds.
    fn clip(&self) -> Clip;
    /// What all surrogates share.
    fn common(&self) -> Common;
}

/// The loss of a method of the clip family.
pub(crate) fn clipped<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    method: &'static str,
    rollout: Rollout<P, C, E, D, T>,
    config: &impl Clipped,
) -> Result<LossTerms<P, E, D, T>, PolicyGradientError> {
    Ok(clipped_by_token(method, rollout, config)?.terms)
}

/// As [`clipped`], with the losses per token.
pub(crate) fn clipped_by_token<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    method: &'static str,
    rollout: Rollout<P, C, E, D, T>,
    config: &impl Clipped,
) -> Result<Evaluated<P, E, D, T>, PolicyGradientError> {
    evaluate(method, rollout, &config.clip(), &config.common())
}
