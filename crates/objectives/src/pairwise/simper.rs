//! SimPER: inverse perplexities of both completions, without any option.

use dfdx::prelude::*;
use tropism_core::{LossTerms, PairLogps};

use crate::ObjectiveError;
use crate::method::free_pairs;
use crate::options::options;
use crate::pairwise::{Scored, Scoring};

options! {
    /// Options of [`simper()`].
    Simper = "simper", "A Survey of Direct Preference Optimization, arXiv 2503.11701" {
    }
}

free_pairs!(Simper, simper);

/// The SimPER loss of `P` pairs: the difference of the completions' inverse perplexities; reads the policy alone.
///
/// With `a = lp/n` in nats per token (a length of 0 counts as 1):
///
/// ```text
/// losses = −e^{a_w} + e^{a_l}      weights = 1
/// ∂losses/∂lp_w = −e^{a_w} / n_w      ∂losses/∂lp_l = +e^{a_l} / n_l
/// ```
///
/// The loss lies between −1 and 1 and is 0 where both are equally likely; completions that are far from likely have hardly
/// any gradient. Rewards are `a`.
///
/// Source: Xiao et al. 2025, arXiv 2502.00883.
///
/// # Errors
/// [`ObjectiveError::Core`] for a loss that is not finite.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{Simper, simper};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-40.0_f64]), dev.tensor([-55.0]), &[20], &[25])?;
/// let terms = simper(policy, &Simper::default())?;
/// assert!((terms.values()[0] - (-0.024532)).abs() < 1e-6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn simper<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    config: &Simper,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let scored = Scored::new(Simper::NAME, policy, None, &Scoring::PER_TOKEN, 1.0)?;
    scored.by_pair(|_, a, c| [c.exp() - a.exp(), -a.exp(), c.exp()])
}
