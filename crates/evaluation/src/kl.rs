//! KL divergence of whole distributions, entropy, and the three estimators from sampled tokens.
use crate::error::{EvaluationError, finite, same_length};
use crate::stats::{Figure, mean_interval};
use serde::{Deserialize, Serialize};

/// Largest distance of a distribution's sum from 1.
const SUM_TOLERANCE: f64 = 1e-3;

/// Exact `KL(p ‖ q) = Σ_v p(v) (ln p(v) − ln q(v))` in nats, of two distributions over a vocabulary given by their log-probabilities. Entries
/// that `p` gives nothing (`−∞`) add nothing.
///
/// # Errors
/// Empty or unequal slices, NaN, probabilities of `p` that do not sum to 1, an entry that `p` gives something and `q` nothing.
pub fn kl_exact(p: &[f64], q: &[f64]) -> Result<f64, EvaluationError> {
    distribution("policy log-probabilities", p)?;
    same_length("reference log-probabilities", p.len(), q.len())?;
    distribution("reference log-probabilities", q)?;
    if let Some(index) = (0..p.len()).find(|&v| p[v] > f64::NEG_INFINITY && q[v] == f64::NEG_INFINITY) {
        let problem = "the policy gives it a chance, the reference none, so the divergence is infinite".to_owned();
        return Err(EvaluationError::Row { what: "vocabulary", index, problem });
    }
    Ok(p.iter().zip(q).filter(|(p, _)| **p > f64::NEG_INFINITY).map(|(p, q)| p.exp() * (p - q)).sum())
}

/// Entropy `−Σ_v p(v) ln p(v)` in nats, of a distribution given by its log-probabilities.
///
/// # Errors
/// An empty slice, NaN, probabilities that do not sum to 1.
pub fn entropy(p: &[f64]) -> Result<f64, EvaluationError> {
    distribution("log-probabilities", p)?;
    Ok(-p.iter().filter(|p| **p > f64::NEG_INFINITY).map(|p| p.exp() * p).sum::<f64>())
}

fn distribution(what: &'static str, p: &[f64]) -> Result<(), EvaluationError> {
    if p.is_empty() {
        return Err(EvaluationError::Empty { what });
    }
    if let Some(index) = p.iter().position(|p| p.is_nan() || *p == f64::INFINITY) {
        return Err(EvaluationError::NotFinite { what, index, value: p[index] });
    }
    let sum: f64 = p.iter().map(|p| p.exp()).sum();
    if (sum - 1.0).abs() > SUM_TOLERANCE {
        let problem = format!("probabilities sum to {sum}, not to 1; give log-probabilities of a whole vocabulary");
        return Err(EvaluationError::Undefined { what, problem });
    }
    Ok(())
}

/// Divergence of answers sampled from the policy, per answer, in nats: means over answers of sums over their tokens, with
/// `ρ_t = ln π(y_t) − ln π_ref(y_t)`. Intervals are over answers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KlEstimates {
    /// `Σ ρ`: unbiased, a single answer's may be negative
    pub k1: Figure,
    /// `Σ ½ ρ²`: biased, never negative
    pub k2: Figure,
    /// `Σ e^{−ρ} − 1 + ρ`: unbiased, never negative
    pub k3: Figure,
    /// `Σ ρ` over all tokens, divided by their number
    pub k1_per_token: f64,
}

/// The three estimators, from log-probabilities of each answer's sampled tokens. `policy` must be of the distribution that was
/// sampled from, temperature included.
///
/// # Errors
/// No answers, unequal numbers of answers or tokens, answers without tokens, values that are not finite.
///
/// # Source
/// Schulman 2020, "Approximating KL divergence". Summed over tokens rather than taken of the sum, whose k3 has a far larger variance.
pub fn kl_estimates(policy: &[&[f64]], reference: &[&[f64]]) -> Result<KlEstimates, EvaluationError> {
    same_length("reference answers", policy.len(), reference.len())?;
    let mut sums: [Vec<f64>; 3] = Default::default();
    for (p, r) in policy.iter().zip(reference) {
        finite("policy logps", p)?;
        finite("reference logps", r)?;
        same_length("reference logps", p.len(), r.len())?;
        let sum = |f: fn(f64) -> f64| p.iter().zip(*r).map(|(p, r)| f(p - r)).sum::<f64>();
        let three = [sum(|d| d), sum(|d| 0.5 * d * d), sum(|d| (-d).exp_m1() + d)];
        sums.iter_mut().zip(three).for_each(|(s, v)| s.push(v));
    }
    let tokens: usize = policy.iter().map(|p| p.len()).sum();
    let [k1, k2, k3] = [&sums[0], &sums[1], &sums[2]].map(|s| mean_interval(s));
    Ok(KlEstimates { k1: k1?, k2: k2?, k3: k3?, k1_per_token: sums[0].iter().sum::<f64>() / tokens as f64 })
}

/// The Rao–Blackwell estimate: the exact divergences [`kl_exact`] at each step of sampled answers, summed per answer, averaged over answers.
/// Unbiased, with less variance than any function of the sampled tokens alone.
///
/// # Errors
/// No answers, answers without tokens, values that are not finite.
pub fn kl_rao_blackwell(step_divergences: &[&[f64]]) -> Result<Figure, EvaluationError> {
    step_divergences.iter().try_for_each(|s| finite("divergences", s))?;
    mean_interval(&step_divergences.iter().map(|s| s.iter().sum()).collect::<Vec<_>>())
}
