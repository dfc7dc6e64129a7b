//! COFS-DPO: one policy out of the fast modules of several domains, fitted on a memory of pairs of each.

use dfdx::prelude::*;
use tropism_core::{CoreError, LossTerms, PairLogps};

use super::mah_dpo::factors;
use crate::method::on_pairs_with;
use crate::options::{options, positive};
use crate::{Column, Domain, Dpo, ObjectiveError, dpo};

options! {
    /// Options of [`cofs_dpo()`].
    CofsDpo = "cofs_dpo", "Online DPO: Online Direct Preference Optimization with Fast-Slow Chasing, arXiv 2406.05534" {
        /// Weight of the implicit KL penalty, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
    }
}

/// Index of the domain whose memory a pair is from, from 0.
const DOMAIN: Column = Column::row("domain", Domain::Index);

on_pairs_with!(CofsDpo, coupled, DOMAIN, true);

/// The loss that the combination of COFS-DPO is fitted with: DPO's mean over the memory of each domain, added up.
///
/// With `ℓ` the loss of [`dpo()`](crate::dpo()) and `B_k` the pairs of domain `k` in the batch:
///
/// ```text
/// mean of losses = Σ_k (1/|B_k|) Σ_{B_k} ℓ     losses_j = ℓ_j · P / |B_k|     weights = 1
/// ```
///
/// The log-probabilities are those of the combined policy `θ = Σ_k λ_k θ_k` of the domains' fast modules. Low-rank updates are
/// combined as products `B_k A_k`, not factor by factor. The gradient in `λ_k` is the inner product of the gradient in `θ` with
/// `θ_k`; [`fit_combination()`] takes it from there. As counts are those of the batch, a step must not be split.
///
/// Reports DPO's figures.
///
/// Source: Online DPO: Online Direct Preference Optimization with Fast-Slow Chasing, arXiv 2406.05534, which has the linear
/// combination; how it is fitted is our choice.
///
/// # Errors
/// [`ObjectiveError::Config`]; [`ObjectiveError::MissingReference`], [`ObjectiveError::UnevenLengths`];
/// [`ObjectiveError::Core`] for sizes that differ.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{CofsDpo, cofs_dpo};
///
/// let dev = Cpu::default();
/// let pairs = |w: [f64; 3]| PairLogps::new(dev.tensor(w), dev.tensor([-9.0; 3]), &[5; 3], &[5; 3]);
/// // Two pairs of domain 0 at the reference, one of domain 1: ln 2 for each domain.
/// let terms = cofs_dpo(pairs([-9.0; 3])?, pairs([-9.0; 3])?, &[0, 0, 1], &CofsDpo::default())?;
/// assert!((terms.mean()?.array() - 2.0 * 2.0_f64.ln()).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn cofs_dpo<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: impl Into<Option<PairLogps<P, E, D>>>,
    domains: &[usize],
    config: &CofsDpo,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    let domains: Vec<f64> = domains.iter().map(|&i| i as f64).collect();
    coupled(policy, reference, &domains, config)
}

fn coupled<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: impl Into<Option<PairLogps<P, E, D>>>,
    domains: &[f64],
    config: &CofsDpo,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    CoreError::check_size(DOMAIN.name, policy.rows(), domains.len())?;
    let last = domains.iter().fold(0.0_f64, |m, d| m.max(*d));
    let factors = factors(domains, &vec![1.0; last as usize + 1])?;
    Ok(dpo(policy, reference, &Dpo::default().with_beta(config.beta))?.times_rows(&factors)?)
}

/// Weights `λ ≥ 0` of several modules, adding up to 1, that make a loss small.
///
/// `loss` gives value and gradient in `λ`. The weights are moved by exponentiated gradient, `λ_k ∝ λ_k e^{−rate · g_k}`, `steps`
/// times, from the middle and from the best single module; returned are the best weights seen. They are never worse than any
/// single module.
///
/// # Errors
/// [`ObjectiveError::Config`] for a bad rate, [`ObjectiveError::Core`] without modules, for a gradient of the wrong size, or
/// for a loss or gradient that is not finite; those of `loss`.
///
/// ```
/// use tropism_objectives::{ObjectiveError, fit_combination};
///
/// // The nearest point to (1, 0.2) on the way from (1, 0) to (0, 1).
/// let weights = fit_combination(2, 200, 0.5, |w| {
///     let gap = [w[0] - 1.0, w[1] - 0.2];
///     Ok::<_, ObjectiveError>((gap[0] * gap[0] + gap[1] * gap[1], vec![2.0 * gap[0], 2.0 * gap[1]]))
/// })?;
/// assert!((weights[0] - 0.9).abs() < 1e-6);
/// # Ok::<(), ObjectiveError>(())
/// ```
pub fn fit_combination<F: From<ObjectiveError>>(
    modules: usize,
    steps: usize,
    rate: f64,
    mut loss: impl FnMut(&[f64]) -> Result<(f64, Vec<f64>), F>,
) -> Result<Vec<f64>, F> {
    positive(CofsDpo::NAME, "rate", &rate).map_err(ObjectiveError::from)?;
    if modules == 0 {
        return Err(ObjectiveError::from(CoreError::Empty { what: "list of modules" }).into());
    }
    let mut at = |weights: &[f64]| {
        let (value, gradient) = loss(weights)?;
        let sound = CoreError::check_size("gradient of the combination", modules, gradient.len())
            .and_then(|()| CoreError::check_finite("loss", &[value]))
            .and_then(|()| CoreError::check_finite("gradient", &gradient));
        sound.map_err(|e| F::from(e.into()))?;
        Ok::<_, F>((value, gradient))
    };
    let mut best: Option<(f64, Vec<f64>)> = None;
    for k in 0..modules {
        let alone: Vec<f64> = (0..modules).map(|i| if i == k { 1.0 } else { 0.0 }).collect();
        let value = at(&alone)?.0;
        if best.as_ref().is_none_or(|b| value < b.0) {
            best = Some((value, alone));
        }
    }
    let near = best.iter().flat_map(|b| b.1.iter().map(|w| 0.9 * w + 0.1 / modules as f64)).collect();
    for mut weights in [vec![1.0 / modules as f64; modules], near] {
        for _ in 0..=steps {
            let (value, gradient) = at(&weights)?;
            if best.as_ref().is_none_or(|b| value < b.0) {
                best = Some((value, weights.clone()));
            }
            weights = moved(&weights, &gradient, rate);
        }
    }
    Ok(best.map(|b| b.1).unwrap_or_default())
}

/// One step of exponentiated gradient descent, in logs so that nothing overflows.
fn moved(weights: &[f64], gradient: &[f64], rate: f64) -> Vec<f64> {
    let logs: Vec<f64> = weights.iter().zip(gradient).map(|(w, g)| w.ln() - rate * g).collect();
    let top = logs.iter().fold(f64::NEG_INFINITY, |m, l| m.max(*l));
    let total: f64 = logs.iter().map(|l| (l - top).exp()).sum();
    logs.iter().map(|l| (l - top).exp() / total).collect()
}
