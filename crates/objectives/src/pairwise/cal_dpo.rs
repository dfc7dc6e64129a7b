//! Cal-DPO: DPO whose log-ratios are calibrated to a target.

use dfdx::prelude::*;
use tropism_core::{LossTerms, PairLogps};

use crate::ObjectiveError;
use crate::link::{logistic, squared};
use crate::method::on_pairs;
use crate::options::{not_negative, options, positive};
use crate::pairwise::{Scored, Scoring};

options! {
    /// Options of [`cal_dpo()`].
    CalDpo = "cal_dpo", "A Survey of Direct Preference Optimization, arXiv 2503.11701" {
        /// Weight of the implicit KL penalty, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
        /// Weight `λ ≥ 0` of the calibration; 1.0 by default.
        calibration: f64 = 1.0, with_calibration, not_negative;
    }
}

on_pairs!(CalDpo, cal_dpo, |_c| true);

/// The Cal-DPO loss of `P` pairs: DPO, and squares that hold each log-ratio near `±1/(2β)`.
///
/// With log-ratios `h` in nats and `z = β (h_w − h_l)`:
///
/// ```text
/// losses = −log σ(z) + λ [(h_w − 1/(2β))² + (h_l + 1/(2β))²]      weights = 1
/// ∂losses/∂lp_w = −β σ(−z) + 2λ (h_w − 1/(2β))      ∂losses/∂lp_l = β σ(−z) + 2λ (h_l + 1/(2β))
/// ```
///
/// The squares keep the chosen completion from falling along with the rejected one. `λ = 0` is [`dpo()`](crate::dpo());
/// without the logistic term they are [`sppo_hard()`](crate::sppo_hard()). The squares are in nats² and far larger than the
/// logistic term at small `β`.
///
/// Source: Xiao et al. 2024, arXiv 2412.14516; the preference term is DPO's own, with `β`.
///
/// # Errors
/// As [`dpo()`](crate::dpo()).
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{CalDpo, cal_dpo};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-40.0_f64]), dev.tensor([-55.0]), &[20], &[25])?;
/// let reference = PairLogps::new(dev.tensor([-42.0_f64]), dev.tensor([-50.0]), &[20], &[25])?;
/// let terms = cal_dpo(policy, reference, &CalDpo::default())?;
/// assert!((terms.values()[0] - 9.403186).abs() < 1e-6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn cal_dpo<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: impl Into<Option<PairLogps<P, E, D>>>,
    config: &CalDpo,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let (beta, lambda) = (config.beta, config.calibration);
    let target = 0.5 / beta;
    let scored = Scored::new(CalDpo::NAME, policy, reference.into(), &Scoring::RATIOS, beta)?;
    scored.by_pair(|_, a, c| {
        let (value, slope) = logistic(beta * (a - c));
        let (up, down) = (squared(a, target), squared(c, -target));
        [value + lambda * (up.0 + down.0), beta * slope + lambda * up.1, lambda * down.1 - beta * slope]
    })
}
