//! Anchored preference optimisation, for models worse than the chosen answers.

use dfdx::prelude::*;
use tropism_core::{LossTerms, PairLogps};

use crate::ObjectiveError;
use crate::link::sigmoid;
use crate::method::on_pairs;
use crate::options::{options, positive};
use crate::pairwise::{Scored, Scoring};

options! {
    /// Options of [`apo_zero()`].
    ApoZero = "apo_zero", "APO, arXiv 2408.06266" {
        /// Weight of the implicit KL penalty, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
    }
}

on_pairs!(ApoZero, apo_zero, |_c| true);

/// The APO-zero loss: pushes chosen completions up and rejected ones down, each against the reference.
///
/// With rewards `r = β h`:
///
/// ```text
/// losses = 1 − σ(r_w) + σ(r_l)     weights = 1
/// ∂losses/∂r_w = −σ(r_w) σ(−r_w)      ∂losses/∂r_l = σ(r_l) σ(−r_l)
/// ```
///
/// Both slopes vanish in the tails. Source: D'Oosterlinck et al. 2024, arXiv 2408.06266; TRL's loss type `apo_zero`.
///
/// # Errors
/// As [`dpo()`](crate::dpo()).
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{ApoZero, apo_zero};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-10.0_f64]), dev.tensor([-12.0]), &[5], &[8])?;
/// let reference = PairLogps::new(dev.tensor([-11.0_f64]), dev.tensor([-11.5]), &[5], &[8])?;
/// let terms = apo_zero(policy, reference, &ApoZero::default())?;
/// assert!((terms.values()[0] - 0.96252342).abs() < 1e-8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn apo_zero<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: impl Into<Option<PairLogps<P, E, D>>>,
    config: &ApoZero,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let beta = config.beta;
    let scored = Scored::new(ApoZero::NAME, policy, reference.into(), &Scoring::RATIOS, beta)?;
    scored.by_pair(|_, a, c| {
        let (chosen, rejected) = (sigmoid(beta * a), sigmoid(beta * c));
        // 1 − σ(r) is written σ(−r), which does not cancel for large r.
        [sigmoid(-beta * a).0 + rejected.0, -beta * chosen.1, beta * rejected.1]
    })
}
