//! Differential information from samples and pairs of real models.
use super::scored::{logsumexp, subtract};
use crate::error::{EvaluationError, finite, same_length};
use crate::figures::{constant, share};
use crate::stats::Figure;
use serde::Serialize;

/// Entropy of the differential information of one prompt, estimated from samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct DidSample {
    /// the entropy in nats; biased for few samples
    pub entropy: f64,
    /// estimate of `log Z`
    pub log_normalizer: f64,
    /// effective number of samples; an estimate that rests on one or two is worth nothing
    pub effective: f64,
}

/// Self-normalised importance estimate of the entropy of `q ∝ π/ρ` from samples of a proposal. Sample from the policy
/// itself where possible: weights are then `1/ρ` alone, and far more even than under the reference.
///
/// # Errors
/// Empty or unequal slices, values that are not finite.
///
/// # Source
/// Won et al. 2025 estimate it from 32 samples; the estimator is ours, their proposal is not known.
pub fn did_entropy_sampled(log_pi: &[f64], log_rho: &[f64], log_proposal: &[f64]) -> Result<DidSample, EvaluationError> {
    for (what, values) in [("log pi", log_pi), ("log rho", log_rho), ("log proposal", log_proposal)] {
        finite(what, values)?;
        same_length(what, log_pi.len(), values.len())?;
    }
    let u = subtract(log_pi, log_rho);
    let weights = subtract(&u, log_proposal);
    let total = logsumexp(&weights);
    let weights: Vec<f64> = weights.iter().map(|w| (w - total).exp()).collect();
    let log_normalizer = total - (weights.len() as f64).ln();
    Ok(DidSample {
        entropy: log_normalizer - weights.iter().zip(&u).map(|(w, u)| w * u).sum::<f64>(),
        log_normalizer,
        effective: 1.0 / weights.iter().map(|w| w * w).sum::<f64>(),
    })
}

/// Whether rejected sampler, reference and policy are ordered in their log-margins, as DPO's assumption has it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MarginOrder {
    /// share of pairs with `Δ_ref − Δ_l` and `Δ_π − Δ_ref` of the same sign
    pub ordered: Figure,
    /// slope through the origin of the first on the second: the β under which the samplers fit; 1 entry per pair
    pub slope: f64,
    /// share of the variation that this slope explains, 1 where the power-law condition holds exactly
    pub explained: f64,
}

/// Log-margins of pairs under the sampler of rejected answers, the reference and the policy; `Δ = log π(w) − log π(l)`.
///
/// # Errors
/// Empty or unequal slices, values that are not finite; a policy whose margins are all those of the reference.
///
/// # Source
/// Won et al. 2025, from the power-law condition `Δ_ref − Δ_l = β (Δ* − Δ_ref)`.
pub fn log_margin_order(rejected: &[f64], reference: &[f64], policy: &[f64]) -> Result<MarginOrder, EvaluationError> {
    for (what, values) in
        [("margins of the rejected sampler", rejected), ("reference margins", reference), ("margins", policy)]
    {
        finite(what, values)?;
        same_length(what, policy.len(), values.len())?;
    }
    let (first, second) = (subtract(reference, rejected), subtract(policy, reference));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let (moved, spread) = (dot(&second, &second), dot(&first, &first));
    if moved == 0.0 {
        return Err(constant("the change of margins from reference to policy"));
    }
    let ordered = first.iter().zip(&second).filter(|(a, b)| **a * **b > 0.0 || (**a == 0.0 && **b == 0.0)).count();
    let slope = dot(&first, &second) / moved;
    let explained = if spread == 0.0 { 1.0 } else { slope * slope * moved / spread };
    Ok(MarginOrder { ordered: share("pairs", ordered, policy.len())?, slope, explained })
}
