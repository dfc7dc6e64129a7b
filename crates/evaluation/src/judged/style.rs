//! Ratings at equal style.
use super::battles::{Battle, Rows, check_battles};
use super::bradley_terry::{Rating, resampled};
use super::elo::RatingScale;
use super::fit::{Fit, Ridge};
use crate::error::{EvaluationError, finite, same_length};
use crate::stats::{Bootstrap, Figure, resample_row};
use serde::{Deserialize, Serialize};

/// Ratings with the style of answers held equal: `logit P(a beats b) = r_a − r_b + Σ_k w_k z_k`, where `z_k` is the standardised
/// `(x_a − x_b)/(x_a + x_b + 1)` of a style measure (length in tokens, headers, list items, bold marks).
///
/// # Source
/// `lm-sys/FastChat`, `serve/monitor/rating_systems.py`, `compute_style_control`. Its ridge of 0.5 is on ratings divided by `width`, that
/// is on `r / ln(base)`, and on the weights; so is this one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StyleControl {
    /// scale of the printed ratings
    pub scale: RatingScale,
    /// ridge penalty; 0.5
    pub ridge: f64,
    /// intervals by resampling battles; 100 resamples
    pub bootstrap: Bootstrap,
}

impl Default for StyleControl {
    fn default() -> Self {
        let bootstrap = Bootstrap { resamples: 100, ..Bootstrap::default() };
        Self { scale: RatingScale::default(), ridge: 0.5, bootstrap }
    }
}

/// Ratings and what style is worth.
#[derive(Clone, Debug, PartialEq)]
pub struct StyleControlled {
    /// by model
    pub ratings: Vec<Rating>,
    /// by style measure: log-odds per standard deviation of the difference
    pub weights: Vec<Figure>,
}

/// Rates `models` models at equal style. `style_a` and `style_b` hold `measures` numbers, not negative, for each battle's two answers.
///
/// # Errors
/// As [`super::bradley_terry`]; style columns of the wrong length, not finite or negative; a measure that never differs; a ridge that is
/// not positive.
pub fn style_controlled(
    models: usize,
    battles: &[Battle],
    style_a: &[f64],
    style_b: &[f64],
    measures: usize,
    options: &StyleControl,
) -> Result<StyleControlled, EvaluationError> {
    check_battles(models, battles)?;
    if !(options.ridge > 0.0 && options.ridge.is_finite()) {
        return Err(EvaluationError::Value {
            what: "ridge",
            value: options.ridge,
            expected: "a positive number is expected",
        });
    }
    let features = standardised(battles.len(), style_a, style_b, measures)?;
    let pairs = battles.iter().map(|b| [b.a, b.b]).collect();
    let rows = Rows { pairs, scores: battles.iter().map(|b| b.score).collect(), features, columns: measures, models };
    let ridge = Ridge { ratings: options.ridge / options.scale.base.ln().powi(2), features: options.ridge };
    let solve =
        |weights: &[f64], start: &[f64]| Ok::<_, EvaluationError>(Fit::new(&rows, weights, ridge, start)?.parameters);
    let printed = |p: &[f64]| {
        let mut all = options.scale.apply(&p[..models])?;
        all.extend(&p[models..]);
        Ok::<_, EvaluationError>(all)
    };
    let fit = solve(&vec![1.0; battles.len()], &vec![0.0; models + measures])?;
    let found = options.bootstrap.replicates(|rng| {
        let mut weights = vec![0.0; battles.len()];
        (0..battles.len()).for_each(|_| weights[resample_row(rng, battles.len())] += 1.0);
        printed(&solve(&weights, &fit)?)
    })?;
    let (figures, medians) = resampled(&options.bootstrap, &printed(&fit)?, &found)?;
    let battles_of = |m: usize| battles.iter().filter(|b| b.a == m || b.b == m).count();
    let rating =
        |model: usize| Rating { model, rating: Figure { n: battles_of(model), ..figures[model] }, median: medians[model] };
    let weights = figures[models..].iter().map(|f| Figure { n: battles.len(), ..*f }).collect();
    Ok(StyleControlled { ratings: (0..models).map(rating).collect(), weights })
}

/// Differences over sums plus one, each measure with mean 0 and variance 1 (divisor n).
fn standardised(n: usize, a: &[f64], b: &[f64], measures: usize) -> Result<Vec<f64>, EvaluationError> {
    for (what, side) in [("style of a", a), ("style of b", b)] {
        finite(what, side)?;
        same_length(what, n * measures, side.len())?;
        if let Some(index) = side.iter().position(|x| *x < 0.0) {
            return Err(EvaluationError::Row { what, index, problem: format!("{} is negative", side[index]) });
        }
    }
    let mut z: Vec<f64> = a.iter().zip(b).map(|(a, b)| (a - b) / (a + b + 1.0)).collect();
    for k in 0..measures {
        let column: Vec<f64> = z.iter().skip(k).step_by(measures).copied().collect();
        let mean = column.iter().sum::<f64>() / n as f64;
        let sd = (column.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64).sqrt();
        if sd == 0.0 {
            let problem = format!("measure {k} is the same in all battles; leave it out");
            return Err(EvaluationError::Undefined { what: "style", problem });
        }
        z.iter_mut().skip(k).step_by(measures).for_each(|x| *x = (*x - mean) / sd);
    }
    Ok(z)
}
