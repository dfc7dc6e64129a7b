//! NPO: negative preference optimisation, the rejected side of DPO alone.

use dfdx::prelude::*;
use tropism_core::{LossTerms, PairLogps};

use crate::ObjectiveError;
use crate::link::logistic;
use crate::method::on_pairs;
use crate::options::{options, positive};
use crate::pairwise::{Scored, Scoring};

options! {
    /// Options of [`npo()`].
    Npo = "npo", "A Survey of Direct Preference Optimization, arXiv 2503.11701" {
        /// Weight of the implicit KL penalty, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
    }
}

on_pairs!(Npo, npo, |_c| true);

/// The NPO loss of `P` pairs: makes rejected completions unlikely; chosen ones have no part in it.
///
/// With the rejected log-ratio `h_l` in nats:
///
/// ```text
/// losses = −(2/β) log σ(−β h_l)      weights = 1
/// ∂losses/∂lp_w = 0      ∂losses/∂lp_l = 2 σ(β h_l)
/// ```
///
/// The gradient is that of unlikelihood where the completion is as likely as under the reference, and fades as it falls. As
/// `β → 0` it is gradient ascent on the rejected completions. Add a loss that holds on to the rest, such as
/// [`chosen_nll()`](crate::chosen_nll()), by a `"sum"`.
///
/// Source: Zhang et al. 2024, arXiv 2404.05868.
///
/// # Errors
/// As [`dpo()`](crate::dpo()).
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{Npo, npo};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-40.0_f64]), dev.tensor([-55.0]), &[20], &[25])?;
/// let reference = PairLogps::new(dev.tensor([-42.0_f64]), dev.tensor([-50.0]), &[20], &[25])?;
/// let terms = npo(policy, reference, &Npo::default())?;
/// assert!((terms.values()[0] - 9.481540).abs() < 1e-6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn npo<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: impl Into<Option<PairLogps<P, E, D>>>,
    config: &Npo,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let beta = config.beta;
    let scored = Scored::new(Npo::NAME, policy, reference.into(), &Scoring::RATIOS, beta)?;
    scored.by_pair(|_, _, c| {
        let (value, slope) = logistic(-beta * c);
        [2.0 / beta * value, 0.0, -2.0 * slope]
    })
}
