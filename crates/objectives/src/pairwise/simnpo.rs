//! SimNPO: NPO per token and without a reference.

use dfdx::prelude::*;
use tropism_core::{LossTerms, PairLogps};

use crate::ObjectiveError;
use crate::link::logistic;
use crate::method::free_pairs;
use crate::options::{not_negative, options, positive};
use crate::pairwise::{Scored, Scoring};

options! {
    /// Options of [`simnpo()`].
    Simnpo = "simnpo", "A Survey of Direct Preference Optimization, arXiv 2503.11701" {
        /// Scale of the reward, `β > 0`; 2.5 by default.
        beta: f64 = 2.5, with_beta, positive;
        /// Margin `γ ≥ 0`; 0.0 by default.
        gamma: f64 = 0.0, with_gamma, not_negative;
    }
}

free_pairs!(Simnpo, simnpo);

/// The SimNPO loss of `P` pairs: makes rejected completions unlikely, per token; reads the policy alone.
///
/// With `a = lp/n` in nats per token (a length of 0 counts as 1):
///
/// ```text
/// losses = −(2/β) log σ(−β a_l − γ)      weights = 1
/// ∂losses/∂lp_w = 0      ∂losses/∂lp_l = 2 σ(β a_l + γ) / n_l
/// ```
///
/// Long completions do not dominate, and what counts is how likely a completion is, not how much it has changed. Rewards are
/// `β a`.
///
/// Source: Fan et al. 2024, arXiv 2410.07163.
///
/// # Errors
/// [`ObjectiveError::Config`]; [`ObjectiveError::Core`] for a loss that is not finite.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{Simnpo, simnpo};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-40.0_f64]), dev.tensor([-55.0]), &[20], &[25])?;
/// let terms = simnpo(policy, &Simnpo::default())?;
/// assert!((terms.values()[0] - (0.8 * (1.0 + (-5.5_f64).exp()).ln())).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn simnpo<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    config: &Simnpo,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let (beta, gamma) = (config.beta, config.gamma);
    let scored = Scored::new(Simnpo::NAME, policy, None, &Scoring::PER_TOKEN, beta)?;
    scored.by_pair(|_, _, c| {
        let (value, slope) = logistic(-beta * c - gamma);
        [2.0 / beta * value, 0.0, -2.0 * slope]
    })
}
