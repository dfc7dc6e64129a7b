//! Kahneman–Tversky optimisation.

use dfdx::prelude::*;
use tropism_core::{LossTerms, SequenceLogps};

use crate::link::sigmoid;
use crate::options::{not_negative, options, positive};
use crate::unpaired::{Unpaired, on_unpaired};
use crate::{Column, Domain, ObjectiveError};

options! {
    /// Options of [`kto()`].
    Kto = "kto", "KTO, arXiv 2402.01306" {
        /// Weight of the implicit KL penalty, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
        /// Weight of the loss of desirable completions; 1 by default.
        desirable_weight: f64 = 1.0, with_desirable_weight, not_negative;
        /// Weight of the loss of undesirable completions; 1 by default.
        undesirable_weight: f64 = 1.0, with_undesirable_weight, not_negative;
    }
}

/// The step's KL baseline, the same in every row.
const BASELINE: Column = Column::row("kl_baseline", Domain::NotNegative);

on_unpaired!(Kto, |config| [Some(BASELINE)], |policy, reference, desirable, columns| {
    let baseline = columns.get(BASELINE.name).unwrap_or_default();
    kto(policy, reference, desirable, baseline, config)
});

/// The KTO loss of `P` completions with a verdict each.
///
/// With log-ratios `h = lp − rf` of summed log-probabilities in nats and the baseline `z0 ≥ 0` ([`kl_baseline()`]), which
/// is a constant of the step given for every row:
///
/// ```text
/// desirable      losses = λ_D (1 − σ(β (h − z0)))     ∂losses/∂lp = −λ_D β σ(u) σ(−u),  u = β (h − z0)
/// undesirable    losses = λ_U (1 − σ(β (z0 − h)))     ∂losses/∂lp = +λ_U β σ(u) σ(−u)
/// weights = 1
/// ```
///
/// The mean is over all rows; `λ` do not enter the denominator. Keep `λ_D n_D / (λ_U n_U)` between 1 and 4/3 for `n`
/// rows of each verdict. Rewards are `β h`.
///
/// Source: Ethayarajh et al. 2024, arXiv 2402.01306; TRL's KTO trainer. Trainers differ in the baseline (batch, device, weighted,
/// clamped or not), so it is an input here.
///
/// # Errors
/// [`ObjectiveError::Config`]; [`ObjectiveError::Column`] for a negative baseline; [`ObjectiveError::UnevenLengths`];
/// [`ObjectiveError::Core`] for numbers of rows that differ.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::SequenceLogps;
/// use tropism_objectives::{Kto, kto};
///
/// let dev = Cpu::default();
/// let policy = SequenceLogps::new(dev.tensor([-10.0_f64, -12.0]), &[5, 8])?;
/// let reference = SequenceLogps::new(dev.tensor([-11.0_f64, -11.5]), &[5, 8])?;
/// let terms = kto(policy, reference, &[true, false], &[0.2, 0.2], &Kto::default())?;
/// assert!((terms.values()[0] - 0.48001066).abs() < 1e-8);
/// assert!((terms.values()[1] - 0.48250714).abs() < 1e-8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn kto<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: SequenceLogps<P, E, D, T>,
    reference: SequenceLogps<P, E, D>,
    desirable: &[bool],
    baseline: &[f64],
    config: &Kto,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    tropism_core::CoreError::check_size(BASELINE.name, policy.rows(), baseline.len())?;
    BASELINE.check(Kto::NAME, baseline)?;
    let mut terms = Unpaired::new(policy, &reference, desirable)?.terms(config.beta, |row, h, good| {
        let sign = if good { -1.0 } else { 1.0 };
        let weight = if good { config.desirable_weight } else { config.undesirable_weight };
        // 1 − σ(u) is written σ(−u), which does not cancel for large u.
        let (value, slope) = sigmoid(sign * config.beta * (h - baseline[row]));
        (weight * value, weight * sign * config.beta * slope)
    })?;
    terms.diagnostics.push("kl", baseline.to_vec())?;
    Ok(terms)
}

/// The KL baseline of a step: the mean log-ratio of mismatched completions, at least 0.
///
/// The rows are completions scored under another row's prompt; give those of the **whole** step, after which the step can be
/// split. No gradient flows through it.
///
/// # Errors
/// [`ObjectiveError::Core`] when the numbers of rows differ or there are none.
///
/// ```
/// use tropism_objectives::kl_baseline;
///
/// assert_eq!(kl_baseline(&[-1.0, -2.0], &[-2.0, -4.0])?, 1.5);
/// assert_eq!(kl_baseline(&[-3.0], &[-1.0])?, 0.0);
/// # Ok::<(), tropism_objectives::ObjectiveError>(())
/// ```
pub fn kl_baseline(policy: &[f64], reference: &[f64]) -> Result<f64, ObjectiveError> {
    tropism_core::CoreError::check_size("mismatched logps", policy.len(), reference.len())?;
    if policy.is_empty() {
        return Err(tropism_core::CoreError::Empty { what: "mismatched logps" }.into());
    }
    let sum: f64 = policy.iter().zip(reference).map(|(p, r)| p - r).sum();
    Ok((sum / policy.len() as f64).max(0.0))
}
