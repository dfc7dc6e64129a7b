//! Binary classifier optimisation on pairs.

use dfdx::prelude::*;
use tropism_core::{LossTerms, PairLogps};

use crate::ObjectiveError;
use crate::link::logistic;
use crate::method::on_pairs;
use crate::options::{options, positive};
use crate::pairwise::{Divergence, Scored, Scoring};

options! {
    /// Options of [`bco_pair()`].
    BcoPair = "bco_pair", "BCO, arXiv 2404.04656" {
        /// Weight of the implicit KL penalty, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
        /// Divergence from the reference; reverse KL by default.
        divergence: Divergence = Divergence::ReverseKl, with_divergence, Divergence::check;
    }
}

on_pairs!(BcoPair, bco_pair, |_c| true);

/// The BCO loss of pairs: each side is classified on its own, chosen as good and rejected as bad.
///
/// With rewards `r = β s` of the scores in [`dpo()`](crate::dpo()):
///
/// ```text
/// losses = −log σ(r_w) − log σ(−r_l)     weights = 1
/// ∂losses/∂r_w = −σ(−r_w)      ∂losses/∂r_l = σ(r_l)
/// ```
///
/// Source: Jung et al. 2024, arXiv 2404.04656; TRL's loss type `bco_pair`. Older TRL and the paper subtract a running mean
/// of the rewards; that shift is in the loss of single completions, [`bco()`](crate::bco()).
///
/// # Errors
/// As [`dpo()`](crate::dpo()).
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{BcoPair, bco_pair};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-10.0_f64]), dev.tensor([-12.0]), &[5], &[8])?;
/// let reference = PairLogps::new(dev.tensor([-11.0_f64]), dev.tensor([-11.5]), &[5], &[8])?;
/// let terms = bco_pair(policy, reference, &BcoPair::default())?;
/// assert!((terms.values()[0] - 1.31285631).abs() < 1e-8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn bco_pair<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: impl Into<Option<PairLogps<P, E, D>>>,
    config: &BcoPair,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let beta = config.beta;
    let scored = Scored::new(BcoPair::NAME, policy, reference.into(), &Scoring::under(config.divergence), beta)?;
    scored.by_pair(|_, a, c| {
        let (chosen, rejected) = (logistic(beta * a), logistic(-beta * c));
        [chosen.0 + rejected.0, beta * chosen.1, -beta * rejected.1]
    })
}
