//! Small symmetric systems.
use crate::error::EvaluationError;

/// Lower factor of a symmetric positive definite matrix, in place (rows of `n`).
pub(crate) fn cholesky(a: &mut [f64], n: usize) -> Result<(), EvaluationError> {
    for j in 0..n {
        for i in j..n {
            let dot: f64 = (0..j).map(|k| a[i * n + k] * a[j * n + k]).sum();
            let rest = a[i * n + j] - dot;
            if i > j {
                a[i * n + j] = rest / a[j * n + j];
            } else if rest > 1e-14 * a[j * n + j].abs() {
                a[j * n + j] = rest.sqrt();
            } else {
                let problem = format!("column {j} follows from the ones before it; leave it out or add a penalty");
                return Err(EvaluationError::Undefined { what: "curvature", problem });
            }
        }
    }
    Ok(())
}

/// Solves `L Lᵀ x = b` in place.
pub(crate) fn solve_factored(l: &[f64], b: &mut [f64]) {
    let n = b.len();
    for i in 0..n {
        let dot: f64 = (0..i).map(|k| l[i * n + k] * b[k]).sum();
        b[i] = (b[i] - dot) / l[i * n + i];
    }
    for i in (0..n).rev() {
        let dot: f64 = (i + 1..n).map(|k| l[k * n + i] * b[k]).sum();
        b[i] = (b[i] - dot) / l[i * n + i];
    }
}

/// Solves `A x = b` for a symmetric positive definite `A`; `b` becomes `x`.
pub(crate) fn solve_positive(a: &[f64], b: &mut [f64]) -> Result<(), EvaluationError> {
    let mut factor = a.to_vec();
    cholesky(&mut factor, b.len())?;
    solve_factored(&factor, b);
    Ok(())
}
