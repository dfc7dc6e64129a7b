//! Divergence from a reference, and entropy.
use super::scored::{logsumexp, subtract};
use crate::error::{EvaluationError, finite, same_length};
use crate::figures::{clustered, mean, outside};
use crate::stats::Figure;
use serde::Serialize;
use std::collections::BTreeMap;

/// KL divergence `Σ p (log p − log q)` of two distributions given by log-probabilities, in nats. Entries with `log p` of
/// negative infinity count nothing; infinite where `q` is 0 and `p` is not.
///
/// # Errors
/// Empty or unequal slices, NaN, log-probabilities that do not sum to 1 within 1e-6.
pub fn kl_exact(log_p: &[f64], log_q: &[f64]) -> Result<f64, EvaluationError> {
    distribution("log p", log_p)?;
    distribution("log q", log_q)?;
    same_length("log q", log_p.len(), log_q.len())?;
    let terms = log_p.iter().zip(log_q).filter(|(p, _)| **p > f64::NEG_INFINITY).map(|(p, q)| p.exp() * (p - q));
    // rounding may leave a negative zero of the order of 1e-17
    Ok(terms.sum::<f64>().max(0.0))
}

/// Jensen–Shannon divergence of two distributions given by log-probabilities: symmetric, from 0 to `ln 2`.
///
/// # Errors
/// As [`kl_exact`].
pub fn jensen_shannon(log_p: &[f64], log_q: &[f64]) -> Result<f64, EvaluationError> {
    distribution("log p", log_p)?;
    distribution("log q", log_q)?;
    same_length("log q", log_p.len(), log_q.len())?;
    let middle: Vec<f64> = log_p.iter().zip(log_q).map(|(p, q)| logsumexp(&[*p, *q]) - std::f64::consts::LN_2).collect();
    Ok(0.5 * (kl_exact(log_p, &middle)? + kl_exact(log_q, &middle)?))
}

/// Entropy `−Σ p log p` in nats of a distribution given by log-probabilities.
///
/// # Errors
/// As [`kl_exact`].
pub fn entropy(log_p: &[f64]) -> Result<f64, EvaluationError> {
    distribution("log p", log_p)?;
    Ok(log_p.iter().filter(|p| **p > f64::NEG_INFINITY).map(|p| -p.exp() * p).sum())
}

/// Mean entropy of tokens. Tokens of one completion are not independent: its interval is over completions, whose means
/// count alike; `completions` numbers them token by token.
///
/// # Errors
/// Empty or unequal slices, values that are not finite.
pub fn mean_entropy(entropies: &[f64], completions: &[usize]) -> Result<Figure, EvaluationError> {
    clustered("token entropies", entropies, completions)
}

/// Sampled KL divergence per completion by three estimators, with `ρ = log π − log π_ref` of each token.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KlEstimates {
    /// `Σ ρ`: unbiased, may be negative
    pub k1: Figure,
    /// `Σ ρ²/2`: biased, low variance, never negative
    pub k2: Figure,
    /// `Σ (e^−ρ − 1 + ρ)`, token by token: unbiased, never negative
    pub k3: Figure,
}

/// The three estimators of the divergence from policy to reference, in nats per completion, from completions sampled from
/// the policy at temperature 1. `completions` numbers the completion of each token.
///
/// # Errors
/// Empty or unequal slices, values that are not finite, a ratio too large for a float.
///
/// # Source
/// Schulman 2020, "Approximating KL divergence". k3 is taken per token: of whole completions its variance explodes.
pub fn kl_estimates(policy: &[f64], reference: &[f64], completions: &[usize]) -> Result<KlEstimates, EvaluationError> {
    finite("policy logps", policy)?;
    finite("reference logps", reference)?;
    same_length("reference logps", policy.len(), reference.len())?;
    same_length("completions", policy.len(), completions.len())?;
    let ratios = subtract(policy, reference);
    let summed = |of: fn(f64) -> f64| sums(&ratios.iter().map(|r| of(*r)).collect::<Vec<_>>(), completions);
    Ok(KlEstimates { k1: summed(|r| r)?, k2: summed(|r| 0.5 * r * r)?, k3: summed(|r| (-r).exp_m1() + r)? })
}

/// Rao–Blackwell estimate of the divergence per completion: the sum over its tokens of the exact divergence between the
/// distributions at each position ([`kl_exact`]). Less variance than any estimator from the sampled tokens.
///
/// # Errors
/// Empty or unequal slices, values that are not finite.
pub fn kl_rao_blackwell(token_kls: &[f64], completions: &[usize]) -> Result<Figure, EvaluationError> {
    finite("token divergences", token_kls)?;
    same_length("completions", token_kls.len(), completions.len())?;
    sums(token_kls, completions)
}

/// Mean over completions of what their tokens add up to.
fn sums(tokens: &[f64], completions: &[usize]) -> Result<Figure, EvaluationError> {
    let mut sums = BTreeMap::<usize, f64>::new();
    for (value, completion) in tokens.iter().zip(completions) {
        *sums.entry(*completion).or_default() += value;
    }
    mean("completions", &sums.into_values().collect::<Vec<_>>())
}

pub(super) fn distribution(what: &'static str, logps: &[f64]) -> Result<(), EvaluationError> {
    if logps.is_empty() {
        return Err(EvaluationError::Empty { what });
    }
    if let Some(index) = logps.iter().position(|l| l.is_nan() || *l > 1e-6) {
        return Err(outside(what, index, logps[index], "a log-probability is at most 0"));
    }
    let total = logsumexp(logps);
    if total.abs() > 1e-6 {
        let problem =
            format!("the probabilities sum to {}, not to 1; give log-probabilities of a whole distribution", total.exp());
        return Err(EvaluationError::Undefined { what, problem });
    }
    Ok(())
}
