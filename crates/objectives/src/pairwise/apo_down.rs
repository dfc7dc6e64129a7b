//! Anchored preference optimisation, for models better than the chosen answers.

use dfdx::prelude::*;
use tropism_core::{LossTerms, PairLogps};

use crate::ObjectiveError;
use crate::link::sigmoid;
use crate::method::on_pairs;
use crate::options::{options, positive};
use crate::pairwise::{Scored, Scoring};

options! {
    /// Options of [`apo_down()`].
    ApoDown = "apo_down", "APO, arXiv 2408.06266" {
        /// Weight of the implicit KL penalty, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
    }
}

on_pairs!(ApoDown, apo_down, |_c| true);

/// The APO-down loss: pushes chosen completions down, and rejected ones further.
///
/// With rewards `r = β h` and `z = r_w − r_l`:
///
/// ```text
/// losses = σ(r_w) + 1 − σ(z)     weights = 1
/// ∂losses/∂r_w = σ(r_w) σ(−r_w) − σ(z) σ(−z)      ∂losses/∂r_l = σ(z) σ(−z)
/// ```
///
/// Source: D'Oosterlinck et al. 2024, arXiv 2408.06266; TRL's loss type `apo_down`.
///
/// # Errors
/// As [`dpo()`](crate::dpo()).
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{ApoDown, apo_down};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-10.0_f64]), dev.tensor([-12.0]), &[5], &[8])?;
/// let reference = PairLogps::new(dev.tensor([-11.0_f64]), dev.tensor([-11.5]), &[5], &[8])?;
/// let terms = apo_down(policy, reference, &ApoDown::default())?;
/// assert!((terms.values()[0] - 0.98754934).abs() < 1e-8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn apo_down<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: impl Into<Option<PairLogps<P, E, D>>>,
    config: &ApoDown,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let beta = config.beta;
    let scored = Scored::new(ApoDown::NAME, policy, reference.into(), &Scoring::RATIOS, beta)?;
    scored.by_pair(|_, a, c| {
        let (chosen, margin) = (sigmoid(beta * a), sigmoid(beta * (a - c)));
        [chosen.0 + sigmoid(beta * (c - a)).0, beta * (chosen.1 - margin.1), beta * margin.1]
    })
}
