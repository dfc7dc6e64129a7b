//! Penalised logistic regression with soft targets.
use super::dense::{cholesky, solve_positive};
use crate::error::{EvaluationError, finite, same_length, share};

/// Rows to learn from.
#[derive(Clone, Copy, Debug)]
pub struct LogisticRows<'a> {
    /// features, row by row: `targets.len() · columns` values
    pub features: &'a [f64],
    /// features of a row
    pub columns: usize,
    /// probability of class 1 in 0..=1; a hard label is 0 or 1
    pub targets: &'a [f64],
    /// weight of each row, not negative
    pub weights: &'a [f64],
}

/// How to fit: `min_β c Σ_i w_i [y_i softplus(−z_i) + (1 − y_i) softplus(z_i)] + l1 ‖β‖₁ + ½ l2 ‖β‖²`, with `z = Xβ`. There is no
/// intercept: give a column of ones, which is then penalised like any other (as liblinear does with `fit_intercept=False`).
/// scikit-learn's `penalty="l1", C=c` is `l1 = 1, l2 = 0`, its `"l2"` is `l1 = 0, l2 = 1`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Logistic {
    /// weight of the data against the penalty
    pub c: f64,
    /// weight of the sum of sizes
    pub l1: f64,
    /// weight of half the sum of squares
    pub l2: f64,
}

/// Outer steps before the fit gives up; a Newton method needs about ten.
const STEPS: usize = 200;
/// Largest slope left, relative to the slope at zero.
const TOLERANCE: f64 = 1e-11;

impl Logistic {
    /// scikit-learn's `LogisticRegression(penalty="l1", C=c, fit_intercept=False)`.
    pub fn l1(c: f64) -> Self {
        Self { c, l1: 1.0, l2: 0.0 }
    }

    /// scikit-learn's `LogisticRegression(penalty="l2", C=c, fit_intercept=False)`.
    pub fn l2(c: f64) -> Self {
        Self { c, l1: 0.0, l2: 1.0 }
    }

    /// The coefficients, by proximal Newton steps: the quadratic model of the loss with the exact penalty, solved by coordinate
    /// descent, then a line search. `start` may be an earlier solution, or zeros.
    ///
    /// # Errors
    /// No rows; lengths that do not fit; values that are not finite; targets outside 0..=1; negative weights; penalties that are
    /// negative; a fit that does not converge, as unpenalised fits of separable rows do not.
    pub fn fit(&self, rows: &LogisticRows, start: &[f64]) -> Result<Vec<f64>, EvaluationError> {
        self.check(rows, start)?;
        let mut at = Point::new(self, rows, start.to_vec());
        let origin = Point::new(self, rows, vec![0.0; rows.columns]);
        let scale = origin.slope.iter().fold(1e-300f64, |m, g| m.max(g.abs()));
        let bound = TOLERANCE * (scale + self.l1);
        for _ in 0..STEPS {
            if at.violation(self) <= bound {
                return self.bounded(at, &origin);
            }
            let direction = self.direction(&at)?;
            match self.search(rows, &at, &direction) {
                Some(next) => at = next,
                // no float is better: done, if the slope is down to what rounding leaves
                None if at.violation(self) <= 1e4 * bound => return self.bounded(at, &origin),
                None => break,
            }
        }
        let problem = format!(
            "no optimum after {STEPS} steps (slope {:.1e}); the classes may be separable, in which case a penalty is needed",
            at.violation(self)
        );
        Err(EvaluationError::Undefined { what: "logistic fit", problem })
    }

    /// The coefficients, unless they are on their way to infinity: without a penalty, slopes also vanish where rows are separated better
    /// and better, but then some direction has no curvature left.
    fn bounded(&self, at: Point, origin: &Point) -> Result<Vec<f64>, EvaluationError> {
        if self.l1 == 0.0 && self.l2 == 0.0 {
            let pivots = |p: &Point| {
                let mut factor = p.curvature.clone();
                cholesky(&mut factor, p.beta.len()).map(|()| factor)
            };
            let (now, before) = (pivots(&at)?, pivots(origin)?);
            let diagonal = at.beta.len() + 1;
            if now.iter().zip(&before).step_by(diagonal).any(|(n, b)| *n < 1e-4 * b) {
                let problem = "the classes are separable, so weights run off to infinity; add a penalty".to_owned();
                return Err(EvaluationError::Undefined { what: "logistic fit", problem });
            }
        }
        Ok(at.beta)
    }

    pub(super) fn check(&self, rows: &LogisticRows, start: &[f64]) -> Result<(), EvaluationError> {
        finite("targets", rows.targets)?;
        finite("features", rows.features)?;
        finite("weights", rows.weights)?;
        finite("start", start)?;
        same_length("features", rows.targets.len() * rows.columns, rows.features.len())?;
        same_length("weights", rows.targets.len(), rows.weights.len())?;
        same_length("start", rows.columns, start.len())?;
        rows.targets.iter().try_for_each(|&y| share("target", y))?;
        if let Some(i) = rows.weights.iter().position(|w| *w < 0.0) {
            return Err(EvaluationError::Row { what: "weights", index: i, problem: "a weight is negative".into() });
        }
        for (what, value) in [("c", self.c), ("l1", self.l1), ("l2", self.l2)] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(EvaluationError::Value { what, value, expected: "a number that is not negative is expected" });
            }
        }
        Ok(())
    }

    /// Minimum of the quadratic model around `at`, as a step.
    fn direction(&self, at: &Point) -> Result<Vec<f64>, EvaluationError> {
        let p = at.beta.len();
        if self.l1 == 0.0 {
            let mut step = at.slope.clone();
            solve_positive(&at.curvature, &mut step)?;
            return Ok(step.iter().map(|s| -s).collect());
        }
        let mut step = vec![0.0; p];
        // slope of the model at the step
        let mut slope = at.slope.clone();
        for _ in 0..1000 {
            let mut moved = 0.0f64;
            for j in 0..p {
                let curvature = at.curvature[j * p + j].max(1e-300);
                let value = at.beta[j] + step[j];
                let target = value - slope[j] / curvature;
                let shrunk = target.signum() * (target.abs() - self.l1 / curvature).max(0.0);
                let change = shrunk - value;
                if change != 0.0 {
                    step[j] += change;
                    slope.iter_mut().zip(&at.curvature[j * p..]).for_each(|(s, h)| *s += change * h);
                    moved = moved.max(change.abs() * curvature);
                }
            }
            if moved <= 1e-3 * TOLERANCE * self.l1 {
                break;
            }
        }
        Ok(step)
    }

    /// The first of `1, ½, ¼, …` of the step that lowers the objective enough.
    fn search(&self, rows: &LogisticRows, at: &Point, direction: &[f64]) -> Option<Point> {
        let l1_norm = |b: &[f64]| self.l1 * b.iter().map(|b| b.abs()).sum::<f64>();
        let full: Vec<f64> = at.beta.iter().zip(direction).map(|(b, d)| b + d).collect();
        let expected = at.slope.iter().zip(direction).map(|(g, d)| g * d).sum::<f64>() + l1_norm(&full) - l1_norm(&at.beta);
        let mut share = 1.0;
        for _ in 0..60 {
            let beta: Vec<f64> = at.beta.iter().zip(direction).map(|(b, d)| b + share * d).collect();
            let next = Point::new(self, rows, beta);
            // near the optimum values agree in all digits and slopes still tell
            let level = (next.value - at.value).abs() <= 1e-13 * at.value.abs();
            let lower = next.value <= at.value + 1e-4 * share * expected;
            if lower || level && next.violation(self) < 0.5 * at.violation(self) {
                return Some(next);
            }
            share *= 0.5;
        }
        None
    }
}

/// A place with value, slope and curvature of the smooth part; `value` has the penalties.
struct Point {
    beta: Vec<f64>,
    value: f64,
    slope: Vec<f64>,
    curvature: Vec<f64>,
}

impl Point {
    fn new(fit: &Logistic, rows: &LogisticRows, beta: Vec<f64>) -> Self {
        let p = beta.len();
        let mut slope: Vec<f64> = beta.iter().map(|b| fit.l2 * b).collect();
        let mut curvature = vec![0.0; p * p];
        let mut value = beta.iter().map(|b| fit.l1 * b.abs() + 0.5 * fit.l2 * b * b).sum::<f64>();
        for ((x, y), w) in rows.features.chunks(p.max(1)).zip(rows.targets).zip(rows.weights) {
            let z: f64 = x.iter().zip(&beta).map(|(x, b)| x * b).sum();
            let weight = fit.c * w;
            value += weight * (softplus(z) - y * z);
            let q = sigmoid(z);
            let (g, h) = (weight * (q - y), weight * q * sigmoid(-z));
            for (j, xj) in x.iter().enumerate() {
                slope[j] += g * xj;
                for (k, xk) in x[..=j].iter().enumerate() {
                    curvature[j * p + k] += h * xj * xk;
                }
            }
        }
        for j in 0..p {
            curvature[j * p + j] += fit.l2;
            for k in 0..j {
                curvature[k * p + j] = curvature[j * p + k];
            }
        }
        Self { beta, value, slope, curvature }
    }

    /// Largest distance of a slope from what the penalty allows.
    fn violation(&self, fit: &Logistic) -> f64 {
        let one = |(b, g): (&f64, &f64)| {
            if *b == 0.0 { (g.abs() - fit.l1).max(0.0) } else { (g + fit.l1 * b.signum()).abs() }
        };
        self.beta.iter().zip(&self.slope).map(one).fold(0.0, f64::max)
    }
}

/// `1 / (1 + e^{−x})`.
pub fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 { 1.0 / (1.0 + (-x).exp()) } else { x.exp() / (1.0 + x.exp()) }
}

/// `ln(1 + e^x)`.
pub fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}
