//! Ratings of many models from comparisons of two: Bradley and Terry's model.
use super::battles::{Battle, check_battles, tally};
use super::elo::RatingScale;
use super::existence::strongly_connected;
use super::fit::{Fit, Ridge};
use crate::error::EvaluationError;
use crate::stats::{Bootstrap, Figure, Method, quantile, redraw_counts, sigmoid, two_sided_normal};
use serde::{Deserialize, Serialize};

/// How to rate models.
///
/// `P(i beats j) = σ(r_i − r_j)`; ratings minimise `Σ w [y softplus(−Δ) + (1 − y) softplus(Δ)]`, a tie being half a win and half
/// a loss. Fitted by Newton's method on the counts of distinct (pair, outcome), resampled as multinomial counts.
///
/// # Source
/// Bradley and Terry 1952; `lm-sys/FastChat`, `serve/monitor/rating_systems.py` (which has `ln 10` inside the logit and stops
/// L-BFGS early); existence of the maximum: Ford 1957.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BradleyTerry {
    /// scale of the printed ratings
    pub scale: RatingScale,
    /// ridge penalty `½ · ridge · Σ r²` on ratings in natural units; 0. Needed where a model never lost or never won
    pub ridge: f64,
    /// intervals by resampling; `None`: from the Fisher information, by the normal quantile
    pub bootstrap: Option<Bootstrap>,
}

impl Default for BradleyTerry {
    fn default() -> Self {
        let bootstrap = Bootstrap { resamples: 100, ..Bootstrap::default() };
        Self { scale: RatingScale::default(), ridge: 0.0, bootstrap: Some(bootstrap) }
    }
}

/// Ratings of all models.
#[derive(Clone, Debug, PartialEq)]
pub struct BradleyTerryFit {
    /// by model
    pub ratings: Vec<Rating>,
    /// ratings in natural units, the first model at 0
    pub strengths: Vec<f64>,
    /// standard errors of the strengths against the first model, from the Fisher information
    pub standard_errors: Vec<f64>,
    /// negative log-likelihood, in nats
    pub nll: f64,
}

/// One model's rating.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rating {
    /// its number
    pub model: usize,
    /// rating on the printed scale; `n` is the number of the model's battles
    pub rating: Figure,
    /// median of the resamples, which FastChat prints in place of the estimate; the estimate without a bootstrap
    pub median: f64,
}

impl BradleyTerryFit {
    /// `P(a beats b)`; `None` for a model that is not there.
    pub fn win_probability(&self, a: usize, b: usize) -> Option<f64> {
        Some(sigmoid(self.strengths.get(a)? - self.strengths.get(b)?))
    }
}

/// Rates `models` models.
///
/// # Errors
/// No battles, models out of range or against themselves, scores outside 0..=1; without ridge, models whose ratings have no finite
/// maximum (a group that never lost to the rest, in the battles or in a resample); the errors of [`Bootstrap`].
pub fn bradley_terry(models: usize, battles: &[Battle], options: &BradleyTerry) -> Result<BradleyTerryFit, EvaluationError> {
    check_battles(models, battles)?;
    let (rows, counts) = tally(models, battles);
    let weigh = |counts: &[usize]| counts.iter().map(|c| *c as f64).collect::<Vec<_>>();
    let weights = weigh(&counts);
    let solve = |weights: &[f64], start: &[f64]| -> Result<Fit, EvaluationError> {
        if options.ridge == 0.0 {
            strongly_connected(&rows, weights)?;
        }
        Fit::new(&rows, weights, Ridge { ratings: options.ridge, features: 0.0 }, start)
    };
    let fit = solve(&weights, &vec![0.0; models])?;
    let anchored = |r: &[f64]| r.iter().map(|x| x - r[0]).collect::<Vec<_>>();
    let strengths = anchored(&fit.parameters);
    let standard_errors = fit.errors_against(0)?;
    let battles_of = |m: usize| battles.iter().filter(|b| b.a == m || b.b == m).count();
    let printed = options.scale.apply(&strengths)?;
    let (intervals, medians) = match &options.bootstrap {
        Some(b) => {
            let found = b.replicates(|rng| {
                let mut drawn = vec![0; counts.len()];
                redraw_counts(rng, &counts, &mut drawn);
                options.scale.apply(&solve(&weigh(&drawn), &fit.parameters)?.parameters)
            })?;
            resampled(b, &printed, &found)?
        }
        None => (from_information(&fit, &printed, &options.scale)?, printed.clone()),
    };
    let rating =
        |(model, f): (usize, Figure)| Rating { model, rating: Figure { n: battles_of(model), ..f }, median: medians[model] };
    let ratings = intervals.into_iter().enumerate().map(rating).collect();
    Ok(BradleyTerryFit { ratings, strengths, standard_errors, nll: fit.nll(&rows, &weights) })
}

/// Figures and medians of ratings from resampled ones.
pub(super) fn resampled(
    bootstrap: &Bootstrap,
    printed: &[f64],
    found: &[Vec<f64>],
) -> Result<(Vec<Figure>, Vec<f64>), EvaluationError> {
    let column = |m: usize| found.iter().map(|f| f[m]).collect::<Vec<f64>>();
    let no_rows = || {
        let problem = "BCa would need a fit without each battle; take the percentile kind".to_owned();
        Err(EvaluationError::Undefined { what: "interval of ratings", problem })
    };
    let figures = (0..printed.len())
        .map(|m| bootstrap.figure(printed[m], column(m), found.len(), no_rows))
        .collect::<Result<_, _>>()?;
    let medians = (0..printed.len()).map(|m| quantile(&column(m), 0.5)).collect::<Result<_, _>>()?;
    Ok((figures, medians))
}

fn from_information(fit: &Fit, printed: &[f64], scale: &RatingScale) -> Result<Vec<Figure>, EvaluationError> {
    let (level, z) = (0.95, two_sided_normal(0.95));
    let errors = match scale.anchor {
        super::elo::Anchor::Model { index, .. } => fit.errors_against(index)?,
        super::elo::Anchor::Mean => fit.errors_against_mean()?,
    };
    let figure = |(value, error): (&f64, &f64)| {
        let half = z * error * scale.per_nat();
        Figure { value: *value, low: value - half, high: value + half, n: 0, method: Method::Delta { level } }
    };
    Ok(printed.iter().zip(&errors).map(figure).collect())
}
