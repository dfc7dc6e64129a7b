//! Self-play preference optimisation with hard labels.

use dfdx::prelude::*;
use tropism_core::{LossTerms, PairLogps};

use crate::ObjectiveError;
use crate::link::squared;
use crate::method::on_pairs;
use crate::options::{options, positive};
use crate::pairwise::{Divergence, Scored, Scoring};

options! {
    /// Options of [`sppo_hard()`].
    Sppo = "sppo_hard", "SPPO, arXiv 2405.00675" {
        /// Scale (the paper's 1/η): each log-ratio is pulled towards `±1/(2β)`, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
        /// Divergence from the reference; reverse KL by default.
        divergence: Divergence = Divergence::ReverseKl, with_divergence, Divergence::check;
    }
}

on_pairs!(Sppo, sppo_hard, |_c| true);

/// The SPPO loss with hard labels: both log-ratios are regressed, not their difference.
///
/// With the scores `s` of [`dpo()`](crate::dpo()):
///
/// ```text
/// losses = (s_w − 1/(2β))² + (s_l + 1/(2β))²     weights = 1
/// ∂losses/∂s_w = 2 (s_w − 1/(2β))      ∂losses/∂s_l = 2 (s_l + 1/(2β))
/// ```
///
/// Source: Wu et al. 2024, arXiv 2405.00675; TRL's loss type `sppo_hard`.
///
/// # Errors
/// As [`dpo()`](crate::dpo()).
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{Sppo, sppo_hard};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-10.0_f64]), dev.tensor([-12.0]), &[5], &[8])?;
/// let reference = PairLogps::new(dev.tensor([-11.0_f64]), dev.tensor([-11.5]), &[5], &[8])?;
/// let terms = sppo_hard(policy, reference, &Sppo::default())?;
/// assert!((terms.values()[0] - 36.25).abs() < 1e-8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn sppo_hard<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: impl Into<Option<PairLogps<P, E, D>>>,
    config: &Sppo,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let target = 0.5 / config.beta;
    let scoring = Scoring::under(config.divergence);
    let scored = Scored::new(Sppo::NAME, policy, reference.into(), &scoring, config.beta)?;
    scored.by_pair(|_, a, c| {
        let (chosen, rejected) = (squared(a, target), squared(c, -target));
        [chosen.0 + rejected.0, chosen.1, rejected.1]
    })
}
