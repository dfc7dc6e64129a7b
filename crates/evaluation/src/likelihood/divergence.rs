//! Divergence of two distributions that neither of them is the reference of, and entropy of tokens.
use super::scored::logsumexp;
use crate::error::EvaluationError;
use crate::figures::clustered;
use crate::kl::kl_exact;
use crate::stats::Figure;

/// Jensen–Shannon divergence of two distributions given by log-probabilities: symmetric, from 0 to `ln 2` nats.
///
/// # Errors
/// As [`kl_exact`].
pub fn jensen_shannon(log_p: &[f64], log_q: &[f64]) -> Result<f64, EvaluationError> {
    crate::error::same_length("log q", log_p.len(), log_q.len())?;
    let middle: Vec<f64> = log_p.iter().zip(log_q).map(|(p, q)| logsumexp(&[*p, *q]) - std::f64::consts::LN_2).collect();
    // rounding may leave less than 0 for equal distributions
    Ok((0.5 * (kl_exact(log_p, &middle)? + kl_exact(log_q, &middle)?)).clamp(0.0, std::f64::consts::LN_2))
}

/// Mean entropy of tokens in nats. Tokens of one completion are not independent: the interval is over completions, whose means
/// count alike; `completions` numbers the completion of each token.
///
/// # Errors
/// Empty or unequal slices, values that are not finite.
pub fn mean_entropy(entropies: &[f64], completions: &[usize]) -> Result<Figure, EvaluationError> {
    clustered("token entropies", entropies, completions)
}
