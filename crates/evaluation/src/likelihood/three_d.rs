//! The three properties that spoil DPO: drop, degradation, dispersion.
use super::scored::{softplus, subtract};
use super::{Displacement, ScoredPairs, displacement};
use crate::error::{EvaluationError, finite, same_length};
use crate::figures::{mean, positive};
use crate::stats::Figure;
use serde::Serialize;

/// Drastic drop of the rejected, degradation into suppression, dispersion to the unseen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ThreeD {
    /// changes of chosen and rejected log-probabilities
    pub drop: Displacement,
    /// mean fall of the rejected over mean fall of the chosen; infinite where the chosen do not fall and the rejected do,
    /// 0 where the rejected do not fall. Above 10 the drop is drastic.
    pub drop_ratio: f64,
    /// mean of `log g₊`, the log of the gradient in the probability of the chosen
    pub log_gradient_chosen: Figure,
    /// mean of `log g₋`
    pub log_gradient_rejected: Figure,
    /// mean of `log(g₋/g₊)`, how much harder the loss pushes down than up; with one β this is chosen minus rejected
    /// log-probability
    pub imbalance: Figure,
    /// mean change of log-probability of held-out responses, where given; dispersion where it rises
    pub unseen: Option<Figure>,
}

/// Logs of DPO's gradients in the probabilities of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LogGradients {
    /// `log(β₊ σ(−z)) − log π₊`
    pub chosen: f64,
    /// `log(β₋ σ(−z)) − log π₋`
    pub rejected: f64,
}

/// Gradients `β σ(−z)/π` of DPO (Flex-DPO with two β) in the probabilities of chosen and rejected, in logs, which hold at
/// log-probabilities of −500 as well. `betas` and `logps` have the chosen side first; `ratios` are `log π − log π_ref`.
///
/// # Source
/// 3D-Properties (arXiv 2406.07327): `∂ℓ/∂π₊ = −β σ(−z)/π₊`, `∂ℓ/∂π₋ = β σ(−z)/π₋`.
pub fn log_gradients(logps: [f64; 2], ratios: [f64; 2], betas: [f64; 2]) -> LogGradients {
    let z = betas[0] * ratios[0] - betas[1] * ratios[1];
    let log_force = -softplus(z);
    LogGradients { chosen: betas[0].ln() + log_force - logps[0], rejected: betas[1].ln() + log_force - logps[1] }
}

/// The three properties, over pairs with a reference; `unseen` holds log-probabilities of held-out responses under policy
/// and reference. `betas` are those of the chosen and the rejected side: equal ones for DPO.
///
/// # Errors
/// Pairs without a reference, β that is not positive, bad slices of held-out responses.
///
/// # Source
/// 3D-Properties (arXiv 2406.07327); the ratio of falls of 10 is our reading of "drastic".
pub fn three_d_properties(
    pairs: &ScoredPairs<'_>,
    betas: [f64; 2],
    unseen: Option<[&[f64]; 2]>,
) -> Result<ThreeD, EvaluationError> {
    let [ref_chosen, ref_rejected] = pairs.need_reference()?;
    positive("beta", &betas)?;
    let drop = displacement(pairs)?;
    let ratios = [subtract(pairs.chosen, ref_chosen), subtract(pairs.rejected, ref_rejected)];
    let at = |i: usize| log_gradients([pairs.chosen[i], pairs.rejected[i]], [ratios[0][i], ratios[1][i]], betas);
    let gradients: Vec<LogGradients> = (0..pairs.len()).map(at).collect();
    let figure = |of: fn(&LogGradients) -> f64| mean("pairs", &gradients.iter().map(of).collect::<Vec<_>>());
    let (chosen, rejected) = (drop.chosen.value, drop.rejected.value);
    let drop_ratio = if rejected >= 0.0 {
        0.0
    } else if chosen >= 0.0 {
        f64::INFINITY
    } else {
        rejected / chosen
    };
    Ok(ThreeD {
        drop_ratio,
        log_gradient_chosen: figure(|g| g.chosen)?,
        log_gradient_rejected: figure(|g| g.rejected)?,
        imbalance: figure(|g| g.rejected - g.chosen)?,
        unseen: unseen.map(|[policy, reference]| unseen_change(policy, reference)).transpose()?,
        drop,
    })
}

fn unseen_change(policy: &[f64], reference: &[f64]) -> Result<Figure, EvaluationError> {
    finite("unseen logps", policy)?;
    finite("unseen reference logps", reference)?;
    same_length("unseen reference logps", policy.len(), reference.len())?;
    mean("unseen responses", &subtract(policy, reference))
}
