//! DPO with an attenuated reference.

use dfdx::prelude::*;
use tropism_core::{LossTerms, PairLogps};

use crate::ObjectiveError;
use crate::link::logistic;
use crate::method::on_pairs;
use crate::options::{not_negative, options, positive};
use crate::pairwise::{Scored, Scoring};

options! {
    /// Options of [`attenuated_dpo()`].
    AttenuatedDpo = "attenuated_dpo", "Preference Learning Algorithms Do Not Learn Preference Rankings, arXiv 2405.19534" {
        /// Weight of the implicit KL penalty, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
        /// How much of the reference counts, `γ ≥ 0`; 0.5 by default.
        gamma: f64 = 0.5, with_gamma, not_negative;
    }
}

on_pairs!(AttenuatedDpo, attenuated_dpo, |_c| true);

/// The DPO loss of `P` pairs with a share `γ` of the reference's margin.
///
/// With summed log-probabilities of policy and reference, in nats:
///
/// ```text
/// z = β [(lp_w − lp_l) − γ (rf_w − rf_l)]     losses = −log σ(z)     weights = 1
/// ∂losses/∂lp_w = −β σ(−z) = −∂losses/∂lp_l
/// ```
///
/// `γ = 1` is [`dpo()`](crate::dpo()), `γ = 0` DPO without a reference. A loss of at most `−log σ(−β γ (rf_w − rf_l))` says that
/// the policy ranks the pair rightly. The reported figures are those of DPO.
///
/// Source: Preference Learning Algorithms Do Not Learn Preference Rankings, arXiv 2405.19534, equation 4; the authors' code calls
/// it `alpha_scaling` and `γ` there `alpha`.
///
/// # Errors
/// As [`dpo()`](crate::dpo()).
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{AttenuatedDpo, attenuated_dpo};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-40.0_f64]), dev.tensor([-55.0]), &[20], &[25])?;
/// let reference = PairLogps::new(dev.tensor([-42.0_f64]), dev.tensor([-50.0]), &[20], &[25])?;
/// let terms = attenuated_dpo(policy, reference, &AttenuatedDpo::default())?;
/// assert!((terms.values()[0] - (1.0 + (-1.1_f64).exp()).ln()).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn attenuated_dpo<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: impl Into<Option<PairLogps<P, E, D>>>,
    config: &AttenuatedDpo,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let scored = Scored::new(AttenuatedDpo::NAME, policy, reference.into(), &Scoring::RATIOS, config.beta)?;
    let own = ["logps/chosen", "logps/rejected"].map(|n| scored.diagnostics.get(n).unwrap_or_default().to_vec());
    scored.by_pair(|row, a, c| {
        // The log-ratio is γ of itself and the rest of the policy's own log-probability.
        let free = own[0][row] - own[1][row];
        let (value, slope) = logistic(config.beta * (config.gamma * (a - c) + (1.0 - config.gamma) * free));
        [value, config.beta * slope, -config.beta * slope]
    })
}
