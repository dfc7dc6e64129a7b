//! Dr. DPO: a soft minimum over the batch in place of the mean, so that pairs with a huge loss count for less.

use dfdx::prelude::*;
use tropism_core::{LossTerms, PairLogps};

use crate::ObjectiveError;
use crate::link::logistic;
use crate::method::on_pairs;
use crate::options::{options, positive};
use crate::pairwise::{Scored, Scoring};

options! {
    /// Options of [`dr_dpo()`].
    DrDpo = "dr_dpo", "A Survey of Direct Preference Optimization, arXiv 2503.11701" {
        /// Weight of the implicit KL penalty, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
        /// Temperature `β′ > 0` of the soft minimum, in nats of loss; 1.0 by default, large values give the mean.
        temperature: f64 = 1.0, with_temperature, positive;
    }
}

on_pairs!(DrDpo, dr_dpo, |_c| true, true);

/// The Dr. DPO loss of `P` pairs: DPO that is robust against swapped labels.
///
/// With DPO's losses `ℓ_i = −log σ(β (h_w − h_l))`:
///
/// ```text
/// losses = −β′ log mean_j e^{−ℓ_j/β′}, the same in every row      weights = 1
/// ∂mean/∂ℓ_i = e^{−ℓ_i/β′} / Σ_j e^{−ℓ_j/β′}
/// ```
///
/// A pair that the policy finds absurd, as a swapped one, hardly counts. As `β′ → ∞` it is [`dpo()`](crate::dpo()), as `β′ →
/// 0` the smallest loss. Rows depend on each other: a step must be one batch. Reports `weights`, the last line times `P`.
///
/// Source: Wu et al. 2024, arXiv 2407.07880.
///
/// # Errors
/// As [`dpo()`](crate::dpo()).
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{DrDpo, dr_dpo};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-10.0_f64]), dev.tensor([-12.0]), &[5], &[8])?;
/// let reference = PairLogps::new(dev.tensor([-11.0_f64]), dev.tensor([-11.5]), &[5], &[8])?;
/// let terms = dr_dpo(policy, reference, &DrDpo::default())?;
/// assert!((terms.values()[0] - 0.62095705).abs() < 1e-8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn dr_dpo<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: impl Into<Option<PairLogps<P, E, D>>>,
    config: &DrDpo,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let (beta, temperature) = (config.beta, config.temperature);
    let mut scored = Scored::new(DrDpo::NAME, policy, reference.into(), &Scoring::RATIOS, beta)?;
    let pairs = scored.ratios[0].iter().zip(&scored.ratios[1]);
    let each: Vec<(f64, f64)> = pairs.map(|(a, c)| logistic(beta * (a - c))).collect();
    let (value, weights) = soft_minimum(&each, temperature);
    scored.diagnostics.push("weights", weights.clone())?;
    scored.by_batch(|_, _| {
        let up: Vec<f64> = each.iter().zip(&weights).map(|(row, w)| w * beta * row.1).collect();
        let down = up.iter().map(|s| -s).collect();
        (vec![value; each.len()], [up, down])
    })
}

/// The soft minimum of losses, and each row's share in it times the number of rows.
fn soft_minimum(rows: &[(f64, f64)], temperature: f64) -> (f64, Vec<f64>) {
    let least = rows.iter().fold(f64::INFINITY, |m, row| m.min(row.0));
    let shares: Vec<f64> = rows.iter().map(|row| ((least - row.0) / temperature).exp()).collect();
    let mean = shares.iter().sum::<f64>() / rows.len() as f64;
    (least - temperature * mean.ln(), shares.iter().map(|s| s / mean).collect())
}
