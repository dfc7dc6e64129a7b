//! Noise-contrastive alignment on pairs.

use dfdx::prelude::*;
use tropism_core::{LossTerms, PairLogps};

use crate::ObjectiveError;
use crate::link::logistic;
use crate::method::on_pairs;
use crate::options::{options, positive};
use crate::pairwise::{Divergence, Scored, Scoring};

options! {
    /// Options of [`nca_pair()`].
    Nca = "nca_pair", "NCA, arXiv 2402.05369" {
        /// Weight of the implicit KL penalty, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
        /// Divergence from the reference; reverse KL by default.
        divergence: Divergence = Divergence::ReverseKl, with_divergence, Divergence::check;
    }
}

on_pairs!(Nca, nca_pair, |_c| true);

/// The NCA loss of pairs: it also holds the likelihood of the chosen completion up, not the margin alone.
///
/// With rewards `r = β s` of the scores in [`dpo()`](crate::dpo()):
///
/// ```text
/// losses = −log σ(r_w) − ½ log σ(−r_w) − ½ log σ(−r_l)     weights = 1
/// ∂losses/∂r_w = −σ(−r_w) + ½ σ(r_w)      ∂losses/∂r_l = ½ σ(r_l)
/// ```
///
/// Source: Chen et al. 2024, arXiv 2402.05369; TRL's loss type `nca_pair`.
///
/// # Errors
/// As [`dpo()`](crate::dpo()).
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{Nca, nca_pair};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-10.0_f64]), dev.tensor([-12.0]), &[5], &[8])?;
/// let reference = PairLogps::new(dev.tensor([-11.0_f64]), dev.tensor([-11.5]), &[5], &[8])?;
/// let terms = nca_pair(policy, reference, &Nca::default())?;
/// assert!((terms.values()[0] - 1.35082481).abs() < 1e-8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn nca_pair<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: impl Into<Option<PairLogps<P, E, D>>>,
    config: &Nca,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let beta = config.beta;
    let scored = Scored::new(Nca::NAME, policy, reference.into(), &Scoring::under(config.divergence), beta)?;
    scored.by_pair(|_, a, c| {
        let (up, down, rejected) = (logistic(beta * a), logistic(-beta * a), logistic(-beta * c));
        let value = up.0 + 0.5 * down.0 + 0.5 * rejected.0;
        [value, beta * (up.1 - 0.5 * down.1), -0.5 * beta * rejected.1]
    })
}
