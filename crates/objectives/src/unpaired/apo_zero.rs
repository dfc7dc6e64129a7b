//! Anchored preference optimisation on single completions.

use dfdx::prelude::*;
use tropism_core::{LossTerms, SequenceLogps};

use crate::ObjectiveError;
use crate::link::sigmoid;
use crate::options::{not_negative, options, positive};
use crate::unpaired::{Unpaired, on_unpaired};

options! {
    /// Options of [`apo_zero_unpaired()`].
    ApoZeroUnpaired = "apo_zero_unpaired", "APO, arXiv 2408.06266" {
        /// Weight of the implicit KL penalty, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
        /// Weight of the loss of desirable completions; 1 by default.
        desirable_weight: f64 = 1.0, with_desirable_weight, not_negative;
        /// Weight of the loss of undesirable completions; 1 by default.
        undesirable_weight: f64 = 1.0, with_undesirable_weight, not_negative;
    }
}

on_unpaired!(ApoZeroUnpaired, |config| [], |policy, reference, desirable, _columns| {
    apo_zero_unpaired(policy, reference, desirable, config)
});

/// The APO-zero loss of `P` completions with a verdict each: KTO with a baseline of 0.
///
/// With log-ratios `h = lp − rf` and `r = β h`:
///
/// ```text
/// desirable      losses = λ_D (1 − σ(r))     ∂losses/∂lp = −λ_D β σ(r) σ(−r)
/// undesirable    losses = λ_U σ(r)           ∂losses/∂lp = +λ_U β σ(r) σ(−r)
/// weights = 1
/// ```
///
/// Source: D'Oosterlinck et al. 2024, arXiv 2408.06266; TRL's KTO trainer, loss type `apo_zero_unpaired`.
///
/// # Errors
/// As [`kto()`](crate::kto()).
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::SequenceLogps;
/// use tropism_objectives::{ApoZeroUnpaired, apo_zero_unpaired};
///
/// let rows = SequenceLogps::new(Cpu::default().tensor([-3.0_f64, -4.0]), &[2, 2])?;
/// let terms = apo_zero_unpaired(rows.clone(), rows, &[true, false], &ApoZeroUnpaired::default())?;
/// assert_eq!(terms.values(), [0.5, 0.5]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn apo_zero_unpaired<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: SequenceLogps<P, E, D, T>,
    reference: SequenceLogps<P, E, D>,
    desirable: &[bool],
    config: &ApoZeroUnpaired,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    Unpaired::new(policy, &reference, desirable)?.terms(config.beta, |_, h, good| {
        let sign = if good { -1.0 } else { 1.0 };
        let weight = if good { config.desirable_weight } else { config.undesirable_weight };
        let (value, slope) = sigmoid(sign * config.beta * h);
        (weight * value, weight * sign * config.beta * slope)
    })
}
