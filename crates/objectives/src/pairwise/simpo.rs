//! SimPO: preference optimisation on length-averaged log-probabilities, without a reference.

use dfdx::prelude::*;
use tropism_core::{LossTerms, PairLogps};

use crate::ObjectiveError;
use crate::link::smoothed;
use crate::method::free_pairs;
use crate::options::{flip_rate, not_negative, options, positive};
use crate::pairwise::{Scored, Scoring};

options! {
    /// Options of [`simpo()`].
    Simpo = "simpo", "SimPO: Simple Preference Optimization with a Reference-Free Reward, arXiv 2405.14734" {
        /// Scale of the reward, much larger than DPO's, for the scores are means over tokens, `β > 0`; 2.0 by default.
        beta: f64 = 2.0, with_beta, positive;
        /// Target margin over `beta`, `γ/β ≥ 0`; 0.25 by default, usually between 0 and 1. TRL's `simpo_gamma` is `γ` itself.
        gamma_beta_ratio: f64 = 0.25, with_gamma_beta_ratio, not_negative;
        /// Assumed share of swapped labels, `0 ≤ ε < 0.5`; 0.0 by default.
        label_smoothing: f64 = 0.0, with_label_smoothing, flip_rate;
    }
}

free_pairs!(Simpo, simpo);

/// The SimPO loss of `P` pairs; reads the policy alone.
///
/// With summed log-probabilities `lp` in nats, lengths `n` in tokens (0 counts as 1), `a = lp/n`, and label smoothing `ε`:
///
/// ```text
/// z = β (a_w − a_l − γ/β)
/// losses = −(1−ε) log σ(z) − ε log σ(−z)      weights = 1
/// s = (1−ε) σ(−z) − ε σ(z)
/// ∂losses/∂lp_w = −β s / n_w      ∂losses/∂lp_l = +β s / n_l
/// ```
///
/// Each token of a completion gets its sequence's value. Rewards are `β a`, and `rewards/accuracies` compares them without
/// the target margin. `mean_logps/chosen` falling fast is the sign of a learning rate that is too high.
///
/// Source: Meng et al. 2024, arXiv 2405.14734, equation 6, and the authors' code, from which the defaults come. TRL reaches
/// the same loss by loss type `simpo` with `cpo_alpha = 0` (its default of 1 adds a likelihood term) and
/// `simpo_gamma = β · gamma_beta_ratio`.
///
/// # Errors
/// [`ObjectiveError::Config`]; [`ObjectiveError::Core`] for a loss that is not finite.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{Simpo, simpo};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-1.8_f64]), dev.tensor([-2.5]), &[3], &[2])?;
/// let terms = simpo(policy, &Simpo::default().with_gamma_beta_ratio(0.5))?;
/// assert!((terms.values()[0] - 0.55435524).abs() < 1e-8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn simpo<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    config: &Simpo,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let scored = Scored::new(Simpo::NAME, policy, None, &Scoring::PER_TOKEN, config.beta)?;
    let target = config.beta * config.gamma_beta_ratio;
    scored.by_margin(config.beta, |z| smoothed(z - target, config.label_smoothing))
}
