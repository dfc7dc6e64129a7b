//! Newton's method for ratings, with features of the rows where there are any.
use super::battles::Rows;
use crate::error::EvaluationError;
use crate::stats::{cholesky, sigmoid, softplus, solve_factored};

/// Penalties `½ ratings Σ r² + ½ features Σ β²`.
#[derive(Clone, Copy)]
pub(super) struct Ridge {
    pub(super) ratings: f64,
    pub(super) features: f64,
}

/// The optimum: ratings, then weights of features, and the curvature there.
pub(super) struct Fit {
    pub(super) parameters: Vec<f64>,
    curvature: Vec<f64>,
    models: usize,
    ridge: Ridge,
}

const STEPS: usize = 100;

impl Fit {
    /// Minimises from `start`. Without ridge, ratings are only given up to a constant: the mean of the start is kept.
    pub(super) fn new(rows: &Rows, weights: &[f64], ridge: Ridge, start: &[f64]) -> Result<Self, EvaluationError> {
        let models = rows.models;
        let mut fit = Self { parameters: start.to_vec(), curvature: Vec::new(), models, ridge };
        let total: f64 = weights.iter().sum();
        let mut value = fit.value(rows, weights);
        for _ in 0..STEPS {
            let mut step = fit.slope_and_curvature(rows, weights);
            let largest = step.iter().fold(0.0f64, |m, g| m.max(g.abs()));
            if largest <= 1e-12 * total {
                return Ok(fit);
            }
            solve_factored(&fit.factor()?, &mut step);
            let from = fit.parameters.clone();
            let mut share = 1.0;
            loop {
                fit.parameters = from.iter().zip(&step).map(|(x, s)| x - share * s).collect();
                let next = fit.value(rows, weights);
                // near the optimum values agree in all digits while slopes still shrink
                if next <= value + 1e-13 * value.abs() || share < 1e-9 {
                    value = next;
                    break;
                }
                share *= 0.5;
            }
        }
        let problem = format!("no optimum after {STEPS} steps; add a ridge");
        Err(EvaluationError::Undefined { what: "Bradley-Terry ratings", problem })
    }

    /// Negative log-likelihood, without penalties.
    pub(super) fn nll(&self, rows: &Rows, weights: &[f64]) -> f64 {
        let one = |i: usize| {
            let z = self.logit(rows, i);
            weights[i] * (softplus(z) - rows.scores[i] * z)
        };
        (0..weights.len()).map(one).sum()
    }

    fn value(&self, rows: &Rows, weights: &[f64]) -> f64 {
        let squares = |x: &[f64]| 0.5 * x.iter().map(|x| x * x).sum::<f64>();
        let (ratings, features) = self.parameters.split_at(self.models);
        self.nll(rows, weights) + self.ridge.ratings * squares(ratings) + self.ridge.features * squares(features)
    }

    fn logit(&self, rows: &Rows, i: usize) -> f64 {
        let [a, b] = rows.pairs[i];
        let features = &rows.features[i * rows.columns..(i + 1) * rows.columns];
        let style: f64 = features.iter().zip(&self.parameters[self.models..]).map(|(x, w)| x * w).sum();
        self.parameters[a] - self.parameters[b] + style
    }

    /// The slope, and the curvature into `self`.
    fn slope_and_curvature(&mut self, rows: &Rows, weights: &[f64]) -> Vec<f64> {
        let n = self.parameters.len();
        let penalty = |j: usize| if j < self.models { self.ridge.ratings } else { self.ridge.features };
        let mut slope: Vec<f64> = self.parameters.iter().enumerate().map(|(j, x)| penalty(j) * x).collect();
        let mut curvature = vec![0.0; n * n];
        (0..n).for_each(|j| curvature[j * n + j] = penalty(j));
        let mut entries = vec![(0, 0.0); 2 + rows.columns];
        for (i, weight) in weights.iter().enumerate().filter(|(_, w)| **w > 0.0) {
            let [a, b] = rows.pairs[i];
            (entries[0], entries[1]) = ((a, 1.0), (b, -1.0));
            let features = &rows.features[i * rows.columns..(i + 1) * rows.columns];
            entries[2..].iter_mut().zip(features).enumerate().for_each(|(k, (e, x))| *e = (self.models + k, *x));
            let z = self.logit(rows, i);
            let q = sigmoid(z);
            let (g, h) = (weight * (q - rows.scores[i]), weight * q * sigmoid(-z));
            for &(j, x) in &entries {
                slope[j] += g * x;
                entries.iter().for_each(|&(k, y)| curvature[j * n + k] += h * x * y);
            }
        }
        self.curvature = curvature;
        slope
    }

    /// Factor of the curvature; without ridge, a constant along all ratings is given a curvature of its own, which fixes their mean
    /// and leaves everything else alone.
    fn factor(&self) -> Result<Vec<f64>, EvaluationError> {
        let n = self.parameters.len();
        let mut factor = self.curvature.clone();
        if self.ridge.ratings == 0.0 {
            let scale = (0..self.models).map(|j| factor[j * n + j]).sum::<f64>() / self.models.pow(2) as f64;
            (0..self.models).for_each(|j| factor[j * n..j * n + self.models].iter_mut().for_each(|x| *x += scale));
        }
        cholesky(&mut factor, n)?;
        Ok(factor)
    }

    /// Standard errors of `r_m − r_anchor`.
    pub(super) fn errors_against(&self, anchor: usize) -> Result<Vec<f64>, EvaluationError> {
        self.errors(|m, c| {
            c[m] += 1.0;
            c[anchor] -= 1.0;
        })
    }

    /// Standard errors of `r_m − mean(r)`.
    pub(super) fn errors_against_mean(&self) -> Result<Vec<f64>, EvaluationError> {
        self.errors(|m, c| {
            c[m] += 1.0;
            c[..self.models].iter_mut().for_each(|x| *x -= 1.0 / self.models as f64);
        })
    }

    /// `√(cᵀ H⁻¹ c)` of a contrast per model.
    fn errors(&self, contrast: impl Fn(usize, &mut [f64])) -> Result<Vec<f64>, EvaluationError> {
        let factor = self.factor()?;
        let one = |m: usize| {
            let mut c = vec![0.0; self.parameters.len()];
            contrast(m, &mut c);
            let mut x = c.clone();
            solve_factored(&factor, &mut x);
            c.iter().zip(&x).map(|(c, x)| c * x).sum::<f64>().max(0.0).sqrt()
        };
        Ok((0..self.models).map(one).collect())
    }
}
