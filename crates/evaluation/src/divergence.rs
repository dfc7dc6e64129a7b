//! Divergence from a reference, and lengths, of sampled answers.
use crate::error::{EvaluationError, finite, same_length};
use crate::stats::{Figure, mean_interval};

/// KL divergence to the reference per answer in nats, from answers sampled from the policy: the mean of
/// `log pi - log pi_ref` (unbiased; a single answer's term may be negative).
///
/// # Errors
/// Empty or unequal slices, values that are not finite.
pub fn kl_sampled(policy_logps: &[f64], ref_logps: &[f64]) -> Result<Figure, EvaluationError> {
    finite("policy logps", policy_logps)?;
    finite("reference logps", ref_logps)?;
    same_length("reference logps", policy_logps.len(), ref_logps.len())?;
    mean_interval(&policy_logps.iter().zip(ref_logps).map(|(p, r)| p - r).collect::<Vec<_>>())
}

/// The estimator `exp(d) - 1 - d` with `d = log pi_ref - log pi`: unbiased under the policy and never negative. Give it
/// log-probabilities of tokens; over whole answers its variance explodes.
///
/// # Errors
/// As [`kl_sampled`]; a ratio too large for a float.
///
/// # Source
/// Schulman 2020, "Approximating KL divergence", k3.
pub fn kl_k3(policy_logps: &[f64], ref_logps: &[f64]) -> Result<Figure, EvaluationError> {
    kl_sampled(policy_logps, ref_logps)?;
    let k3 = |(p, r): (&f64, &f64)| (r - p).exp_m1() - (r - p);
    mean_interval(&policy_logps.iter().zip(ref_logps).map(k3).collect::<Vec<_>>())
}

/// Mean length of answers in tokens.
///
/// # Errors
/// An empty slice.
pub fn response_length(tokens: &[usize]) -> Result<Figure, EvaluationError> {
    mean_interval(&tokens.iter().map(|&t| t as f64).collect::<Vec<_>>())
}
