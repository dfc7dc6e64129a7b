//! Differential information, exactly: distributions over outcomes that can be listed.
use super::kl::{distribution, entropy, kl_exact};
use super::scored::{logsumexp, sigmoid};
use crate::error::{EvaluationError, finite, same_length};
use serde::Serialize;

/// The differential information distribution of two policies.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Did {
    /// `log q`, `q ∝ π/ρ`
    pub log_q: Vec<f64>,
    /// its entropy in nats, `log N` where the policies are equal
    pub entropy: f64,
    /// `log Z = log Σ π/ρ`
    pub log_normalizer: f64,
}

/// What turns `ρ` into `π`: `q(y) ∝ π(y)/ρ(y)`. Neither side has to be normalised.
///
/// # Errors
/// Empty or unequal slices, log-probabilities that are not finite: both need full support.
///
/// # Source
/// Won et al. 2025, "Differential information" (arXiv 2505.23761), definition 3.1.
///
/// ```
/// use tropism_evaluation::likelihood::did;
///
/// let log = |p: [f64; 4]| p.map(f64::ln);
/// let found = did(&log([0.10, 0.15, 0.25, 0.50]), &log([0.4, 0.3, 0.2, 0.1]))?;
/// assert!((found.entropy - 0.855485603).abs() < 1e-9);
/// # Ok::<(), tropism_evaluation::EvaluationError>(())
/// ```
pub fn did(log_pi: &[f64], log_rho: &[f64]) -> Result<Did, EvaluationError> {
    finite("log pi", log_pi)?;
    finite("log rho", log_rho)?;
    same_length("log rho", log_pi.len(), log_rho.len())?;
    let u: Vec<f64> = log_pi.iter().zip(log_rho).map(|(p, r)| p - r).collect();
    let log_normalizer = logsumexp(&u);
    let log_q: Vec<f64> = u.iter().map(|u| u - log_normalizer).collect();
    Ok(Did { entropy: entropy(&log_q)?, log_q, log_normalizer })
}

/// `log π` from a reference and a differential information distribution: `π ∝ ρ q`.
///
/// # Errors
/// As [`did`].
pub fn reconstruct(log_rho: &[f64], log_q: &[f64]) -> Result<Vec<f64>, EvaluationError> {
    finite("log rho", log_rho)?;
    finite("log q", log_q)?;
    same_length("log q", log_rho.len(), log_q.len())?;
    Ok(normalized(log_rho.iter().zip(log_q).map(|(r, q)| r + q).collect()))
}

/// The sampler of rejected answers under which DPO with this β has its minimum at `π*`: `π_l ∝ π_ref (π_ref/π*)^β`, in logs.
/// It needs `π*`, so it makes synthetic studies, not data.
///
/// # Errors
/// As [`did`]; β that is not finite.
///
/// # Source
/// Won et al. 2025, from the power-law condition of theorem 3.2.
pub fn optimal_rejected(log_ref: &[f64], log_star: &[f64], beta: f64) -> Result<Vec<f64>, EvaluationError> {
    finite("log pi_ref", log_ref)?;
    finite("log pi*", log_star)?;
    finite("beta", &[beta])?;
    same_length("log pi*", log_ref.len(), log_star.len())?;
    Ok(normalized(log_ref.iter().zip(log_star).map(|(r, s)| (1.0 + beta) * r - beta * s).collect()))
}

/// Probability that `w` came from the first sampler and `l` from the second, given that one of them did each:
/// `σ(log q(w) − log q(l))`, `q ∝ first/second`. Labels of pairs whose chosen side is the reference's own answer.
///
/// # Errors
/// As [`did`]; an outcome that does not exist.
///
/// # Source
/// Won et al. 2025, section 3.
pub fn source_preference(log_first: &[f64], log_second: &[f64], w: usize, l: usize) -> Result<f64, EvaluationError> {
    let q = did(log_first, log_second)?.log_q;
    for (what, outcome) in [("outcome w", w), ("outcome l", l)] {
        if outcome >= q.len() {
            return Err(EvaluationError::Range { what, value: outcome, expected: "there are fewer outcomes" });
        }
    }
    Ok(sigmoid(q[w] - q[l]))
}

/// Expected change of log-likelihood of the reference's own answers: `−KL(π_ref ‖ π)`, never positive. Chosen answers that
/// come from the reference lose likelihood by any change of policy.
///
/// # Errors
/// As [`kl_exact`].
pub fn expected_displacement(log_ref: &[f64], log_pi: &[f64]) -> Result<f64, EvaluationError> {
    distribution("log pi_ref", log_ref)?;
    Ok(-kl_exact(log_ref, log_pi)?)
}

fn normalized(logits: Vec<f64>) -> Vec<f64> {
    let total = logsumexp(&logits);
    logits.into_iter().map(|l| l - total).collect()
}
