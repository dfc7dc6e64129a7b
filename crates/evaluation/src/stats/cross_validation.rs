//! The penalty of a logistic fit, chosen by held-out loss.
use super::logistic::{Logistic, LogisticRows, sigmoid};
use crate::error::EvaluationError;
use rayon::prelude::*;

/// scikit-learn's default grid: ten values from 1e-4 to 1e4, evenly in logarithms.
pub fn default_grid() -> Vec<f64> {
    (0..10).map(|i| 10f64.powf(-4.0 + 8.0 * f64::from(i) / 9.0)).collect()
}

/// The value of `c` in `grid` with the smallest of [`held_out_losses`]; of equal ones the first.
///
/// # Errors
/// An empty grid; as [`held_out_losses`].
pub fn choose_c(rows: &LogisticRows, penalty: Logistic, grid: &[f64], folds: usize) -> Result<f64, EvaluationError> {
    let losses = held_out_losses(rows, penalty, grid, folds)?;
    let first_best = |best: usize, g: usize| if losses[g] < losses[best] { g } else { best };
    let best = (0..grid.len()).reduce(first_best).ok_or(EvaluationError::Empty { what: "grid" })?;
    Ok(grid[best])
}

/// Held-out log-loss of fits with each value of `c` in `grid` (the rest of `penalty` kept), averaged over `folds`. The loss of a fold
/// is `Σ w_i [−y_i ln q_i − (1 − y_i) ln(1 − q_i)] / rows`, with `q` cut to `1e-15..1 − 1e-15`. Fold `k` holds
/// rows `k`, `k + folds`, …, as scikit-learn's `GroupKFold` shares out groups of equal size.
///
/// # Errors
/// Fewer than two folds or more than rows; as [`Logistic::fit`].
pub fn held_out_losses(
    rows: &LogisticRows,
    penalty: Logistic,
    grid: &[f64],
    folds: usize,
) -> Result<Vec<f64>, EvaluationError> {
    let n = rows.targets.len();
    if folds < 2 || folds > n {
        let expected = "between 2 and the number of rows are expected";
        return Err(EvaluationError::Range { what: "folds", value: folds, expected });
    }
    penalty.check(rows, &vec![0.0; rows.columns])?;
    let one = |k: usize| held_out(rows, penalty, grid, |i| i % folds == k);
    let losses: Vec<Vec<f64>> = (0..folds).into_par_iter().map(one).collect::<Result<_, _>>()?;
    Ok((0..grid.len()).map(|g| losses.iter().map(|l| l[g]).sum::<f64>() / folds as f64).collect())
}

/// Losses on the rows that `held` selects, of fits of the others, along the grid.
fn held_out(
    rows: &LogisticRows,
    penalty: Logistic,
    grid: &[f64],
    held: impl Fn(usize) -> bool,
) -> Result<Vec<f64>, EvaluationError> {
    let p = rows.columns;
    let kept: Vec<usize> = (0..rows.targets.len()).filter(|i| !held(*i)).collect();
    let pick = |from: &[f64]| kept.iter().map(|&i| from[i]).collect::<Vec<_>>();
    let features: Vec<f64> = kept.iter().flat_map(|&i| &rows.features[i * p..(i + 1) * p]).copied().collect();
    let (targets, weights) = (pick(rows.targets), pick(rows.weights));
    let train = LogisticRows { features: &features, columns: p, targets: &targets, weights: &weights };
    let mut beta = vec![0.0; p];
    let loss = |c: &f64| {
        beta = Logistic { c: *c, ..penalty }.fit(&train, &beta)?;
        let out: Vec<usize> = (0..rows.targets.len()).filter(|i| held(*i)).collect();
        let one = |&i: &usize| {
            let z: f64 = rows.features[i * p..(i + 1) * p].iter().zip(&beta).map(|(x, b)| x * b).sum();
            let q = sigmoid(z).clamp(1e-15, 1.0 - 1e-15);
            -rows.weights[i] * (rows.targets[i] * q.ln() + (1.0 - rows.targets[i]) * (1.0 - q).ln())
        };
        Ok(out.iter().map(one).sum::<f64>() / out.len() as f64)
    };
    grid.iter().map(loss).collect()
}
