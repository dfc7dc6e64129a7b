//! pass@k.
use crate::error::{EvaluationError, same_length};
use crate::figures::mean;
use crate::stats::Figure;

/// Probability that one of `k` answers, drawn without replacement from `n` of which `correct` pass, is right:
/// `1 − C(n−c, k) / C(n, k)`. Its mean over samples is the probability for `k` fresh answers, which `1 − (1 − c/n)ᵏ` is not.
///
/// # Errors
/// More correct answers or draws than answers, no draw.
///
/// # Source
/// Chen et al. 2021, "Evaluating large language models trained on code", equation 1.
///
/// ```
/// use tropism_evaluation::text::pass_at_k_of;
///
/// assert!((pass_at_k_of(10, 3, 5)? - 0.916667).abs() < 1e-6);
/// # Ok::<(), tropism_evaluation::EvaluationError>(())
/// ```
pub fn pass_at_k_of(n: usize, correct: usize, k: usize) -> Result<f64, EvaluationError> {
    let refuse = |what, value, expected| Err(EvaluationError::Range { what, value, expected });
    if correct > n {
        return refuse("correct answers", correct, "there are fewer answers");
    }
    if k == 0 || k > n {
        return refuse("k", k, "take at least 1 and no more than there are answers to a problem");
    }
    if n - correct < k {
        return Ok(1.0);
    }
    Ok(1.0 - (n - correct + 1..=n).map(|i| 1.0 - k as f64 / i as f64).product::<f64>())
}

/// Mean of [`pass_at_k_of`] over problems; the interval is that of problems, not of answers.
///
/// # Errors
/// No problems, slices of unequal length, and those of [`pass_at_k_of`].
pub fn pass_at_k(n: &[usize], correct: &[usize], k: usize) -> Result<Figure, EvaluationError> {
    same_length("correct answers", n.len(), correct.len())?;
    let each = n.iter().zip(correct).map(|(&n, &c)| pass_at_k_of(n, c, k)).collect::<Result<Vec<_>, _>>()?;
    mean("problems", &each)
}
