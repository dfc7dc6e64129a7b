//! A logistic probe with an L2 penalty.
use crate::error::{EvaluationError, finite, same_length};
use crate::figures::outside;
use crate::likelihood::{sigmoid, softplus};
use serde::Serialize;

const STEPS: usize = 100;
const TOLERANCE: f64 = 1e-10;

/// A fitted probe: `score = w·φ + b`, positive where it says `true`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Probe {
    /// w
    pub weights: Vec<f64>,
    /// b
    pub bias: f64,
    /// value of the objective
    pub objective: f64,
}

impl Probe {
    /// `w·φ + b`.
    pub fn score(&self, features: &[f64]) -> f64 {
        dot(&self.weights, features) + self.bias
    }
}

/// Minimises `mean softplus(−(2t − 1)(w·φ + b)) + λ/2 |w|²` by Newton steps with conjugate gradients; the bias is not
/// penalised. Two fits of the same data agree to the last digits.
///
/// # Errors
/// No rows, rows of unequal length, values that are not finite, labels that are all the same, λ that is not positive.
///
/// ```
/// use tropism_evaluation::safety::fit_probe;
///
/// let rows: [&[f64]; 4] = [&[2.0, 1.0], &[1.5, 0.0], &[-1.0, 0.5], &[-2.0, -1.0]];
/// let probe = fit_probe(&rows, &[true, true, false, false], 0.1)?;
/// assert!((probe.weights[0] - 1.426726).abs() < 1e-6 && (probe.bias + 0.267596).abs() < 1e-6);
/// # Ok::<(), tropism_evaluation::EvaluationError>(())
/// ```
pub fn fit_probe(rows: &[&[f64]], labels: &[bool], lambda: f64) -> Result<Probe, EvaluationError> {
    check(rows, labels, lambda)?;
    let problem = Problem { rows, labels, lambda };
    let mut at = vec![0.0; rows[0].len() + 1];
    let mut value = problem.value(&at);
    for _ in 0..STEPS {
        let (gradient, curvature) = problem.slopes(&at);
        if norm(&gradient) < TOLERANCE {
            return Ok(problem.probe(at, value));
        }
        let step = problem.newton_step(&gradient, &curvature);
        let slope = dot(&gradient, &step);
        let moved = |size: f64| at.iter().zip(&step).map(|(a, s)| a + size * s).collect::<Vec<_>>();
        // what is left to gain is below rounding of the value: the last step cannot be judged by it any more
        if -slope <= 1e-14 * (1.0 + value) {
            let next = moved(1.0);
            let value = problem.value(&next);
            return Ok(problem.probe(next, value));
        }
        // convex, so halving finds a descent
        let sizes = (0..40).map(|k| 0.5f64.powi(k));
        let found = sizes.map(|size| (size, moved(size))).map(|(size, next)| (size, problem.value(&next), next));
        let Some((_, lower, next)) = found.into_iter().find(|(size, v, _)| *v <= value + 1e-4 * size * slope) else { break };
        (at, value) = (next, lower);
    }
    let problem = format!("no minimum within {STEPS} Newton steps; scale the features or raise lambda");
    Err(EvaluationError::Undefined { what: "the probe", problem })
}

fn check(rows: &[&[f64]], labels: &[bool], lambda: f64) -> Result<(), EvaluationError> {
    let first = rows.first().ok_or(EvaluationError::Empty { what: "the list of rows" })?;
    same_length("labels", rows.len(), labels.len())?;
    for row in rows {
        same_length("a row of features", first.len(), row.len())?;
        finite("a row of features", row)?;
    }
    if labels.iter().all(|l| *l == labels[0]) {
        return Err(crate::figures::constant("labels"));
    }
    if lambda > 0.0 && lambda.is_finite() {
        Ok(())
    } else {
        Err(outside("lambda", 0, lambda, "it must be positive: without a penalty separable data have no minimum"))
    }
}

struct Problem<'a> {
    rows: &'a [&'a [f64]],
    labels: &'a [bool],
    lambda: f64,
}

impl Problem<'_> {
    fn scores<'b>(&'b self, at: &'b [f64]) -> impl Iterator<Item = f64> + 'b {
        let (bias, weights) = (at[at.len() - 1], &at[..at.len() - 1]);
        self.rows.iter().map(move |row| dot(weights, row) + bias)
    }

    fn value(&self, at: &[f64]) -> f64 {
        let loss = |(z, t): (f64, &bool)| softplus(if *t { -z } else { z });
        let weights = &at[..at.len() - 1];
        self.scores(at).zip(self.labels).map(loss).sum::<f64>() / self.rows.len() as f64
            + 0.5 * self.lambda * dot(weights, weights)
    }

    /// Gradient, and the curvature of each row's loss in its score.
    fn slopes(&self, at: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let p: Vec<f64> = self.scores(at).map(sigmoid).collect();
        let residuals: Vec<f64> = p.iter().zip(self.labels).map(|(p, t)| p - f64::from(u8::from(*t))).collect();
        let gradient = self.weighted(&residuals, at);
        (gradient, p.iter().map(|p| p * (1.0 - p)).collect())
    }

    /// `mean of row · weight`, plus the penalty's part at `at`.
    fn weighted(&self, row_weights: &[f64], at: &[f64]) -> Vec<f64> {
        let last = at.len() - 1;
        let mut sum = vec![0.0; at.len()];
        for (row, w) in self.rows.iter().zip(row_weights) {
            sum[..last].iter_mut().zip(*row).for_each(|(s, x)| *s += w * x);
            sum[last] += w;
        }
        let n = self.rows.len() as f64;
        sum.iter_mut().for_each(|s| *s /= n);
        sum[..last].iter_mut().zip(at).for_each(|(s, a)| *s += self.lambda * a);
        sum
    }

    /// Solves `H s = −g` by conjugate gradients.
    fn newton_step(&self, gradient: &[f64], curvature: &[f64]) -> Vec<f64> {
        let mut step = vec![0.0; gradient.len()];
        let mut residual: Vec<f64> = gradient.iter().map(|g| -g).collect();
        let mut direction = residual.clone();
        let mut square = dot(&residual, &residual);
        let goal = square * (square.sqrt().min(1e-2)).powi(2);
        for _ in 0..10 * gradient.len() {
            let along: Vec<f64> = self.scores(&direction).zip(curvature).map(|(z, c)| z * c).collect();
            let image = self.weighted(&along, &direction);
            let bend = dot(&direction, &image);
            if bend <= 0.0 {
                break;
            }
            let size = square / bend;
            step.iter_mut().zip(&direction).for_each(|(s, d)| *s += size * d);
            residual.iter_mut().zip(&image).for_each(|(r, i)| *r -= size * i);
            let next = dot(&residual, &residual);
            if next <= goal {
                break;
            }
            direction.iter_mut().zip(&residual).for_each(|(d, r)| *d = r + next / square * *d);
            square = next;
        }
        step
    }

    fn probe(&self, mut at: Vec<f64>, objective: f64) -> Probe {
        let bias = at.pop().unwrap_or_default();
        Probe { weights: at, bias, objective }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}
