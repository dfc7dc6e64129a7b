//! AlphaPO: SimPO with a bent reward.

use dfdx::prelude::*;
use tropism_core::{LossTerms, PairLogps};

use crate::ObjectiveError;
use crate::link::smoothed;
use crate::method::free_pairs;
use crate::options::{any, finite, flip_rate, not_negative, options, positive};
use crate::pairwise::{Normalization, Scored, Scoring};

options! {
    /// Options of [`alphapo()`].
    Alphapo = "alphapo", "TRL's CPO trainer (AlphaPO)" {
        /// Scale of the reward, `β > 0`; 2.0 by default.
        beta: f64 = 2.0, with_beta, positive;
        /// Target margin over `beta`, `γ/β ≥ 0`; 0.25 by default, usually between 0 and 1. TRL's `simpo_gamma` is `γ` itself.
        gamma_beta_ratio: f64 = 0.25, with_gamma_beta_ratio, not_negative;
        /// Bend of the reward; 0.25 by default, 0 is SimPO.
        alpha: f64 = 0.25, with_alpha, finite;
        /// Log-probability per token (`"mean"`, the default) or per completion (`"sum"`).
        normalization: Normalization = Normalization::Mean, with_normalization, any;
        /// Assumed share of swapped labels, `0 ≤ ε < 0.5`; 0 by default.
        label_smoothing: f64 = 0.0, with_label_smoothing, flip_rate;
    }
}

free_pairs!(Alphapo, alphapo);

/// The AlphaPO loss of `P` pairs; reads the policy alone.
///
/// With `a = lp/n` (`a = lp` for `"sum"`), the bent reward `q = (1 − e^{−α a})/α` and label smoothing `ε`:
///
/// ```text
/// z = β (q_w − q_l) − γ
/// losses = −(1−ε) log σ(z) − ε log σ(−z)      weights = 1
/// s = (1−ε) σ(−z) − ε σ(z)
/// ∂losses/∂lp_w = −β s e^{−α a_w} / n_w      ∂losses/∂lp_l = +β s e^{−α a_l} / n_l
/// ```
///
/// `a ≤ 0`, so a positive `α` weighs unlikely completions more; with `"sum"` it overflows soon (`α |lp|` of hundreds).
/// Rewards are `β q`. Source: Gupta et al. 2025, arXiv 2501.03884; TRL's option `alpha` of the CPO trainer.
///
/// # Errors
/// [`ObjectiveError::Config`]; [`ObjectiveError::Core`] for a loss that is not finite.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{Alphapo, alphapo};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-1.8_f64]), dev.tensor([-2.5]), &[3], &[2])?;
/// let terms = alphapo(policy.clone(), &Alphapo::default().with_alpha(0.0))?;
/// let simpo = tropism_objectives::simpo(policy, &tropism_objectives::Simpo::default())?;
/// assert_eq!(terms.values(), simpo.values());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn alphapo<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    config: &Alphapo,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let scoring = Scoring { normalization: config.normalization, ..Scoring::PER_TOKEN };
    let scored = Scored::bent(Alphapo::NAME, policy, &scoring, config.beta, |a| bend(a, config.alpha))?;
    let target = config.beta * config.gamma_beta_ratio;
    scored.by_margin(config.beta, |z| smoothed(z - target, config.label_smoothing))
}

/// Value and slope of the bent reward at `a`.
fn bend(a: f64, alpha: f64) -> (f64, f64) {
    if alpha == 0.0 { (a, 1.0) } else { (-(-alpha * a).exp_m1() / alpha, (-alpha * a).exp()) }
}
