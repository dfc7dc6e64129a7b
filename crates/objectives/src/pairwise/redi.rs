//! REDI: reinforcement distillation, an asymmetric likelihood and unlikelihood per token.

use dfdx::prelude::*;
use tropism_core::{LossTerms, PairLogps};

use crate::ObjectiveError;
use crate::method::free_pairs;
use crate::options::{not_negative, options};
use crate::pairwise::{Scored, Scoring};

options! {
    /// Options of [`redi()`].
    Redi = "redi", "Harnessing Negative Signals: Reinforcement Distillation from Teacher Data for LLM Reasoning, arXiv 2505.24850" {
        /// Weight `α ≥ 0` of the rejected completion; 0.8 by default, 1 is symmetric.
        alpha: f64 = 0.8, with_alpha, not_negative;
        /// Weight of the chosen completion; 1.0 by default.
        chosen_weight: f64 = 1.0, with_chosen_weight, not_negative;
        /// Rate `κ ≥ 0` at which the rejected term fades as the completion becomes unlikely; 0, the default, for not at all.
        decay: f64 = 0.0, with_decay, not_negative;
    }
}

free_pairs!(Redi, redi);

/// The REDI loss of `P` pairs; reads the policy alone.
///
/// With `a = lp/n` in nats per token (a length of 0 counts as 1):
///
/// ```text
/// losses = −c a_w + α e^{κ a_l} a_l      weights = 1, c = chosen_weight
/// ∂losses/∂lp_w = −c / n_w      ∂losses/∂lp_l = α e^{κ a_l} (1 + κ a_l) / n_l
/// ```
///
/// At `κ = 0` the loss is linear: its gradients do not depend on the policy, and for `α > 0` it has no lower bound, so the
/// number of steps and the learning rate are part of the method. Watch `mean_logps/chosen`: a slow fall of both sides is
/// normal, a sharp one is collapse. Rewards are `a`.
///
/// Source: the REDI paper 2025, arXiv 2505.24850, equation 5, and the authors' code, from which the defaults come; there
/// `decay` is an unpublished option that is off, and the two weights are coefficients of the same loss.
///
/// # Errors
/// [`ObjectiveError::Config`]; [`ObjectiveError::Core`] for a loss that is not finite.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{Redi, redi};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-1.8_f64]), dev.tensor([-2.5]), &[3], &[2])?;
/// let terms = redi(policy, &Redi::default())?;
/// assert!((terms.values()[0] - (-0.4)).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn redi<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    config: &Redi,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let scored = Scored::new(Redi::NAME, policy, None, &Scoring::PER_TOKEN, 1.0)?;
    let (alpha, chosen, decay) = (config.alpha, config.chosen_weight, config.decay);
    scored.by_pair(|_, a, c| {
        let fade = alpha * (decay * c).exp();
        [fade * c - chosen * a, -chosen, fade * (1.0 + decay * c)]
    })
}
