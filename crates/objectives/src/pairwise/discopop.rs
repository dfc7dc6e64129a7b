//! Discovered preference optimisation: a blend of logistic and exponential loss.

use dfdx::prelude::*;
use tropism_core::{LossTerms, PairLogps};

use crate::ObjectiveError;
use crate::link::logistic;
use crate::method::on_pairs;
use crate::options::{options, positive};
use crate::pairwise::{Divergence, Scored, Scoring};
use tropism_core::numerics::sigmoid_scalar;

options! {
    /// Options of [`discopop()`].
    Discopop = "discopop", "DiscoPOP, arXiv 2406.08414" {
        /// Weight of the implicit KL penalty, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
        /// Temperature of the blend, `τ > 0`; 0.05 by default.
        tau: f64 = 0.05, with_tau, positive;
        /// Divergence from the reference; reverse KL by default.
        divergence: Divergence = Divergence::ReverseKl, with_divergence, Divergence::check;
    }
}

on_pairs!(Discopop, discopop, |_c| true);

/// The DiscoPOP loss (log-ratio modulated loss), found by a language model's search over losses.
///
/// With `z = β (s_w − s_l)` as in [`dpo()`](crate::dpo()) and `m = σ(z/τ)`:
///
/// ```text
/// losses = (1−m) (−log σ(z)) + m e^{−z}     weights = 1
/// ∂losses/∂z = −(1−m) σ(−z) − m e^{−z} + m (1−m)/τ (e^{−z} + log σ(z))
/// ```
///
/// Not monotone: at the default `τ` it rises for `z` between −0.118 and 0.072, so training from `z = 0` has to pass a bump.
///
/// Source: Lu et al. 2024, arXiv 2406.08414; TRL's loss type `discopop`.
///
/// # Errors
/// As [`dpo()`](crate::dpo()).
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{Discopop, discopop};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-10.0_f64]), dev.tensor([-12.0]), &[5], &[8])?;
/// let reference = PairLogps::new(dev.tensor([-11.0_f64]), dev.tensor([-11.5]), &[5], &[8])?;
/// let terms = discopop(policy, reference, &Discopop::default())?;
/// assert!((terms.values()[0] - 0.84933758).abs() < 1e-8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn discopop<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: impl Into<Option<PairLogps<P, E, D>>>,
    config: &Discopop,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let scoring = Scoring::under(config.divergence);
    let scored = Scored::new(Discopop::NAME, policy, reference.into(), &scoring, config.beta)?;
    scored.by_margin(config.beta, |z| blend(z, config.tau))
}

/// Value and slope at `z`.
fn blend(z: f64, tau: f64) -> (f64, f64) {
    let (m, rest) = (sigmoid_scalar(z / tau), sigmoid_scalar(-z / tau));
    // Where the weight has underflown the exponential may overflow; their product is 0.
    let exponential = |weight: f64| if weight == 0.0 { 0.0 } else { weight * (-z).exp() };
    let (value, slope) = logistic(z);
    let bent = m * rest / tau;
    (rest * value + exponential(m), rest * slope - exponential(m) + exponential(bent) - bent * value)
}
