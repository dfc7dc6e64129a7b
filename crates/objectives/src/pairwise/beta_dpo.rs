//! β-DPO: each batch has a `β` of its own, by how far apart its pairs are.

use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use tropism_core::{CoreError, LossTerms, PairLogps};

use crate::link::logistic;
use crate::method::on_pairs_with;
use crate::options::{not_negative, options, positive, share};
use crate::pairwise::{Scored, Scoring};
use crate::{Column, Domain, ObjectiveError};

options! {
    /// Options of [`beta_dpo()`].
    BetaDpo = "beta_dpo", "A Survey of Direct Preference Optimization, arXiv 2503.11701" {
        /// Weight of the implicit KL penalty where the batch is as far apart as usual, `β_0 > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
        /// How strongly `β` follows the batch, `α ≥ 0` per unit of reward; 0.6 by default.
        alpha: f64 = 0.6, with_alpha, not_negative;
        /// The least share of `beta` that a batch can have, above 0; 0.01 by default.
        floor: f64 = 0.01, with_floor, positive;
    }
}

/// The usual gap `M_0` of the rewards, the same in every row.
const BASELINE: Column = Column::row("gap_baseline", Domain::Any);

on_pairs_with!(BetaDpo, beta_dpo, BASELINE, true);

/// The β-DPO loss of `P` pairs: DPO with a `β` for the batch, which is a constant for the gradient.
///
/// With log-ratios `h` in nats, `M_i = β_0 (h_w − h_l)`, their mean `M̄` over the batch and the usual gap `M_0` (column
/// `gap_baseline`, see [`GapMoments`]):
///
/// ```text
/// β = β_0 max(floor, 1 + α (M̄ − M_0))     no gradient in β
/// losses = −log σ(β (h_w − h_l))     weights = 1     ∂losses/∂lp_w = −β σ(−β (h_w − h_l)) = −∂losses/∂lp_l
/// ```
///
/// Batches whose pairs are further apart than usual are held closer to the reference. `α = 0` is [`dpo()`](crate::dpo()). As `β`
/// is that of the batch, a step must not be split. Reported rewards are with `β_0`; `beta` is what was used.
///
/// The method also drops pairs whose gap is unusual: [`GapMoments::likelihoods`] gives the odds with which to keep them.
///
/// Source: class "distinguishability" of A Survey of Direct Preference Optimization, arXiv 2503.11701, which names the method (β by
/// batch from the reward gap, with a filter) and gives no formula; this is the formula of its authors as we know it, with the
/// floor, which is ours.
///
/// # Errors
/// As [`dpo()`](crate::dpo()); [`ObjectiveError::Core`] unless there is one baseline per pair.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{BetaDpo, beta_dpo};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-40.0_f64]), dev.tensor([-55.0]), &[20], &[25])?;
/// let reference = PairLogps::new(dev.tensor([-42.0_f64]), dev.tensor([-50.0]), &[20], &[25])?;
/// // A gap of 0.7, 0.2 above the usual one: β = 0.1 · 1.12.
/// let terms = beta_dpo(policy, reference, &[0.5], &BetaDpo::default())?;
/// assert!((terms.values()[0] - (1.0 + (-0.784_f64).exp()).ln()).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn beta_dpo<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: impl Into<Option<PairLogps<P, E, D>>>,
    baseline: &[f64],
    config: &BetaDpo,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    CoreError::check_size(BASELINE.name, policy.rows(), baseline.len())?;
    BASELINE.check(BetaDpo::NAME, baseline)?;
    let mut scored = Scored::new(BetaDpo::NAME, policy, reference.into(), &Scoring::RATIOS, config.beta)?;
    let gaps = scored.ratios[0].iter().zip(&scored.ratios[1]).map(|(a, c)| config.beta * (a - c));
    let rows = baseline.len();
    let excess = gaps.zip(baseline).map(|(gap, usual)| gap - usual).sum::<f64>() / rows as f64;
    let beta = config.beta * (1.0 + config.alpha * excess).max(config.floor);
    scored.diagnostics.push("beta", vec![beta; rows])?;
    scored.by_margin(beta, logistic)
}

/// Running mean and deviation of the reward gaps of a run.
///
/// ```
/// use tropism_objectives::GapMoments;
///
/// let mut moments = GapMoments::default();
/// moments.update(&[1.0, 3.0], 0.5)?;
/// assert_eq!((moments.mean, moments.deviation), (1.0, 1.0));
/// let odds = moments.likelihoods(&[1.0, 2.0]);
/// assert!((odds[1] / odds[0] - (-0.5_f64).exp()).abs() < 1e-12);
/// # Ok::<(), tropism_objectives::ObjectiveError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GapMoments {
    /// The usual gap `M_0`.
    pub mean: f64,
    /// Its deviation.
    pub deviation: f64,
}

impl Default for GapMoments {
    fn default() -> Self {
        Self { mean: 0.0, deviation: 1.0 }
    }
}

impl GapMoments {
    /// Takes in the gaps of a batch: both figures keep the share `momentum` of what they were.
    ///
    /// # Errors
    /// [`ObjectiveError::Config`] for a momentum outside 0 to 1, [`ObjectiveError::Core`] without gaps or for one that is not
    /// finite.
    pub fn update(&mut self, gaps: &[f64], momentum: f64) -> Result<(), ObjectiveError> {
        share(BetaDpo::NAME, "momentum", &momentum)?;
        CoreError::check_finite("gap", gaps)?;
        if gaps.is_empty() {
            return Err(CoreError::Empty { what: "list of gaps" }.into());
        }
        let n = gaps.len() as f64;
        let mean = gaps.iter().sum::<f64>() / n;
        let deviation = (gaps.iter().map(|g| (g - mean) * (g - mean)).sum::<f64>() / n).sqrt();
        let mix = |old: f64, new: f64| momentum * old + (1.0 - momentum) * new;
        *self = Self { mean: mix(self.mean, mean), deviation: mix(self.deviation, deviation) };
        Ok(())
    }

    /// How usual each gap is, from 0 to 1: `e^{−(M − M_0)²/(2 σ²)}`. Pairs of a batch are kept by drawing with these odds.
    pub fn likelihoods(&self, gaps: &[f64]) -> Vec<f64> {
        let spread = self.deviation.max(f64::MIN_POSITIVE.sqrt());
        gaps.iter().map(|gap| (-0.5 * ((gap - self.mean) / spread).powi(2)).exp()).collect()
    }
}
