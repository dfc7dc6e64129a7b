//! The Elo scale, and ratings updated battle by battle.
use super::battles::{Battle, check_battles};
use crate::error::EvaluationError;
use serde::{Deserialize, Serialize};

/// What a scale is tied to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Anchor {
    /// the mean of all models gets the scale's centre
    #[default]
    Mean,
    /// one model gets a fixed rating
    Model {
        /// its number
        index: usize,
        /// its rating
        rating: f64,
    },
}

/// From natural units to printed ratings: `R = width · r / ln(base) + constant`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RatingScale {
    /// rating difference at which odds are `base` to 1; 400
    pub width: f64,
    /// base of the odds; 10
    pub base: f64,
    /// rating of the mean, and of a model at the start of online Elo; 1000
    pub centre: f64,
    /// what the constant is tied to
    pub anchor: Anchor,
}

impl Default for RatingScale {
    fn default() -> Self {
        Self { width: 400.0, base: 10.0, centre: 1000.0, anchor: Anchor::Mean }
    }
}

impl RatingScale {
    /// Rating points per unit of log-odds.
    pub fn per_nat(&self) -> f64 {
        self.width / self.base.ln()
    }

    /// Printed ratings of strengths in natural units.
    ///
    /// # Errors
    /// No strengths, an anchor that is not among them, a width or base that makes no scale.
    pub fn apply(&self, strengths: &[f64]) -> Result<Vec<f64>, EvaluationError> {
        self.check()?;
        let n = strengths.len();
        if n == 0 {
            return Err(EvaluationError::Empty { what: "strengths" });
        }
        let (at, rating) = match self.anchor {
            Anchor::Mean => (strengths.iter().sum::<f64>() / n as f64, self.centre),
            Anchor::Model { index, rating } => {
                let out = EvaluationError::Range { what: "anchor", value: index, expected: "a model's number is expected" };
                (*strengths.get(index).ok_or(out)?, rating)
            }
        };
        Ok(strengths.iter().map(|r| self.per_nat() * (r - at) + rating).collect())
    }

    fn check(&self) -> Result<(), EvaluationError> {
        if !(self.width > 0.0 && self.width.is_finite()) {
            return Err(EvaluationError::Value {
                what: "width",
                value: self.width,
                expected: "a positive number is expected",
            });
        }
        if !(self.base > 1.0 && self.base.is_finite()) {
            return Err(EvaluationError::Value { what: "base", value: self.base, expected: "a number above 1 is expected" });
        }
        Ok(())
    }
}

/// Online Elo.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Elo {
    /// step of an update; 4
    pub k: f64,
    /// scale; an anchor on a model shifts the final ratings
    pub scale: RatingScale,
}

impl Default for Elo {
    fn default() -> Self {
        Self { k: 4.0, scale: RatingScale::default() }
    }
}

/// Ratings after the battles, in their order: `R_a += k (score − E)`, `R_b −= k (score − E)`, with
/// `E = 1 / (1 + base^((R_b − R_a)/width))`. They depend on the order; [`super::bradley_terry`] does not.
///
/// # Errors
/// As [`super::bradley_terry`] for battles; a scale that is none; a step that is not finite.
///
/// # Source
/// `lm-sys/FastChat`, `serve/monitor/rating_systems.py`, `compute_elo`.
pub fn online_elo(models: usize, battles: &[Battle], options: &Elo) -> Result<Vec<f64>, EvaluationError> {
    check_battles(models, battles)?;
    options.scale.check()?;
    if !options.k.is_finite() {
        return Err(EvaluationError::Value { what: "k", value: options.k, expected: "a finite step is expected" });
    }
    let mut ratings = vec![options.scale.centre; models];
    for b in battles {
        let expected = crate::stats::sigmoid((ratings[b.a] - ratings[b.b]) / options.scale.per_nat());
        let change = options.k * (b.score - expected);
        ratings[b.a] += change;
        ratings[b.b] -= change;
    }
    if let Anchor::Model { index, rating } = options.scale.anchor {
        let out = EvaluationError::Range { what: "anchor", value: index, expected: "a model's number is expected" };
        let shift = rating - ratings.get(index).ok_or(out)?;
        ratings.iter_mut().for_each(|r| *r += shift);
    }
    Ok(ratings)
}
