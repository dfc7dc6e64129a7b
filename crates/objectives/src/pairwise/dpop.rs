//! DPO-Positive: a penalty when the chosen completion falls below the reference.

use dfdx::prelude::*;
use tropism_core::{LossTerms, PairLogps};

use crate::ObjectiveError;
use crate::link::logistic;
use crate::method::on_pairs;
use crate::options::{not_negative, options, positive};
use crate::pairwise::{Scored, Scoring};

options! {
    /// Options of [`dpop()`].
    Dpop = "dpop", "A Survey of Direct Preference Optimization, arXiv 2503.11701" {
        /// Weight of the implicit KL penalty, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
        /// Weight `λ ≥ 0` of the penalty; 5.0 by default.
        lambda: f64 = 5.0, with_lambda, not_negative;
    }
}

on_pairs!(Dpop, dpop, |_c| true);

/// The DPO-Positive loss of `P` pairs: the margin is reduced by what the chosen completion has lost.
///
/// With log-ratios `h` in nats:
///
/// ```text
/// z = β (h_w − h_l − λ max(0, −h_w))      losses = −log σ(z)      weights = 1
/// ∂losses/∂lp_w = −β (1 + λ [h_w < 0]) σ(−z)      ∂losses/∂lp_l = β σ(−z)
/// ```
///
/// The penalty acts only where `displacement/fell` is 1; `λ = 0` is [`dpo()`](crate::dpo()). Where every completion is
/// sometimes chosen and sometimes rejected the policy stays at the reference.
///
/// Source: Pal et al. 2024, arXiv 2402.13228.
///
/// # Errors
/// As [`dpo()`](crate::dpo()).
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{Dpop, dpop};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-40.0_f64]), dev.tensor([-55.0]), &[20], &[25])?;
/// let reference = PairLogps::new(dev.tensor([-42.0_f64]), dev.tensor([-50.0]), &[20], &[25])?;
/// let terms = dpop(policy, reference, &Dpop::default())?;
/// assert!((terms.values()[0] - 0.403186).abs() < 1e-6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn dpop<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: impl Into<Option<PairLogps<P, E, D>>>,
    config: &Dpop,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let (beta, lambda) = (config.beta, config.lambda);
    let scored = Scored::new(Dpop::NAME, policy, reference.into(), &Scoring::RATIOS, beta)?;
    scored.by_pair(|_, a, c| {
        let (value, slope) = logistic(beta * (a - c - lambda * (-a).max(0.0)));
        let pull = if a < 0.0 { 1.0 + lambda } else { 1.0 };
        [value, beta * slope * pull, -beta * slope]
    })
}
