//! Multi-objective DPO: one objective's pairs, with a margin from the rewards of the others.

use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use tropism_core::{CoreError, LossTerms, PairLogps};

use super::{Scored, Scoring};
use crate::options::{any, options, positive};
use crate::{Batch, Column, Domain, InputKind, Method, ObjectiveError, link};

/// What the margin is put through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarginLink {
    /// `−log σ(z)`.
    #[default]
    Sigmoid,
    /// `max(0, 1 − z)`.
    Hinge,
}

options! {
    /// Options of [`modpo()`].
    Modpo = "modpo", "Beyond One-Preference-Fits-All Alignment: Multi-Objective Direct Preference Optimization, arXiv 2310.03708" {
        /// Weight of the KL penalty, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
        /// Weight `w_k > 0` of the objective that the pairs are labelled for; 0.5 by default. Gradients grow as `1 / w_k`.
        weight: f64 = 0.5, with_weight, positive;
        /// What the margin is put through; the sigmoid by default.
        link: MarginLink = MarginLink::Sigmoid, with_link, any;
    }
}

/// Weighted sum of the other objectives' rewards.
const CHOSEN: Column = Column::row("other_rewards/chosen", Domain::Any);
const REJECTED: Column = Column::row("other_rewards/rejected", Domain::Any);

impl Method for Modpo {
    const INPUT: InputKind = InputKind::Pairs;

    fn needs_reference(&self) -> bool {
        true
    }

    fn columns(&self) -> Vec<Column> {
        vec![CHOSEN, REJECTED]
    }

    fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        batch: Batch<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
        let (policy, reference, columns) = batch.into_pairs(Self::NAME)?;
        let reference = crate::batch::need(Self::NAME, reference)?;
        let others = [CHOSEN, REJECTED].map(|c| columns.get(c.name).unwrap_or_default());
        modpo(policy, reference, others, self)
    }
}

/// The MODPO loss of `P` pairs labelled for one objective `k`.
///
/// With summed log-ratios `a`, `c` of both sides, in nats, and `m = Σ_{i≠k} w_i r_i`, the weighted rewards of the other
/// objectives (a constant, already multiplied by their weights):
///
/// ```text
/// z = (β (a − c) − (m_w − m_l)) / w_k
/// losses = −log σ(z)     weights = 1
/// ∂losses/∂lp_w = −(β/w_k) σ(−z)     ∂losses/∂lp_l = +(β/w_k) σ(−z)
/// ```
///
/// The minimum is `π ∝ π_ref exp((w_k r_k + m) / β)`, where `r_k` is the reward behind the labels. `link = "hinge"` takes
/// `max(0, 1 − z)`. Rewards of the others must be on the scale of `r_k`; token counts are far above it. Weights need not add up
/// to 1.
///
/// Reports TRL's figures for the collective reward `β` times the log-ratio, and `rewards/others`, `m_w − m_l`.
///
/// Source: Zhou et al. 2024, arXiv 2310.03708, and the authors' `modpo_loss`; paper and code agree.
///
/// # Errors
/// [`ObjectiveError::Config`]; [`ObjectiveError::Column`]; [`ObjectiveError::UnevenLengths`]; [`ObjectiveError::Core`] for
/// sizes that differ.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{Modpo, modpo};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-30.0_f64]), dev.tensor([-35.0]), &[9], &[9])?;
/// let reference = PairLogps::new(dev.tensor([-31.0_f64]), dev.tensor([-33.0]), &[9], &[9])?;
/// let terms = modpo(policy, reference, [&[0.5 * 0.2], &[0.5 * -0.3]], &Modpo::default())?;
/// assert!((terms.values()[0] - 0.6443966601).abs() < 1e-10);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn modpo<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: PairLogps<P, E, D>,
    other_rewards: [&[f64]; 2],
    config: &Modpo,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    for (column, values) in [CHOSEN, REJECTED].iter().zip(other_rewards) {
        CoreError::check_size(column.name, policy.rows(), values.len())?;
        column.check(Modpo::NAME, values)?;
    }
    let margins: Vec<f64> = other_rewards[0].iter().zip(other_rewards[1]).map(|(w, l)| w - l).collect();
    let mut scored = Scored::new(Modpo::NAME, policy, Some(reference), &Scoring::RATIOS, config.beta)?;
    scored.diagnostics.push("rewards/others", margins.clone())?;
    let scale = config.beta / config.weight;
    scored.by_pair(|row, a, c| {
        let z = scale * (a - c) - margins[row] / config.weight;
        let (value, slope) = match config.link {
            MarginLink::Sigmoid => link::logistic(z),
            MarginLink::Hinge => link::hinge(z),
        };
        [value, scale * slope, -scale * slope]
    })
}
