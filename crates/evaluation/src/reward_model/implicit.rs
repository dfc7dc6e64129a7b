//! The implicit reward of a DPO policy beside an explicit reward model.
use super::accuracy::{check, half_credit, pair_accuracy};
use crate::error::{EvaluationError, finite, same_length};
use crate::figures::positive;
use crate::stats::{Bootstrap, Figure};
use serde::Serialize;

/// Rewards `β (log π − log π_ref)` of answers; without a reference, `β log π`.
///
/// # Errors
/// Empty or unequal slices, values that are not finite, β that is not positive.
///
/// # Source
/// Rafailov et al. 2023; Lin et al. 2024 (arXiv 2409.03650) call it DPORM.
pub fn implicit_rewards(policy: &[f64], reference: Option<&[f64]>, beta: f64) -> Result<Vec<f64>, EvaluationError> {
    finite("policy logps", policy)?;
    positive("beta", &[beta])?;
    let Some(reference) = reference else { return Ok(policy.iter().map(|p| beta * p).collect()) };
    finite("reference logps", reference)?;
    same_length("reference logps", policy.len(), reference.len())?;
    Ok(policy.iter().zip(reference).map(|(p, r)| beta * (p - r)).collect())
}

/// Accuracies of two rewards on the same pairs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Gap {
    /// of the explicit reward
    pub explicit: Figure,
    /// of the implicit reward
    pub implicit: Figure,
    /// explicit minus implicit; the bootstrap draws pairs, so what both get right or wrong cancels
    pub gap: Figure,
}

/// Gap in accuracy on one set of pairs; each reward is given as chosen and rejected. Equal rewards count by half.
///
/// # Errors
/// Empty or unequal slices, values that are not finite, too few resamples.
pub fn reward_gap(explicit: [&[f64]; 2], implicit: [&[f64]; 2], bootstrap: Bootstrap) -> Result<Gap, EvaluationError> {
    check(explicit[0], explicit[1])?;
    check(implicit[0], implicit[1])?;
    same_length("implicit rewards", explicit[0].len(), implicit[0].len())?;
    let (ours, theirs) = (half_credit(explicit[0], explicit[1]), half_credit(implicit[0], implicit[1]));
    let differences: Vec<f64> = ours.iter().zip(&theirs).map(|(a, b)| a - b).collect();
    Ok(Gap {
        explicit: pair_accuracy(explicit[0], explicit[1])?,
        implicit: pair_accuracy(implicit[0], implicit[1])?,
        gap: bootstrap.mean(&differences)?,
    })
}

/// A set of pairs to evaluate on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shift {
    /// its name
    pub name: String,
    /// whether it comes from the distribution that was trained on
    pub in_distribution: bool,
    /// accuracies on it
    pub gap: Gap,
}

/// Gaps in and out of distribution.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shifts {
    /// mean gap of the sets in distribution; none without such sets
    pub in_distribution: Option<f64>,
    /// mean gap of the others, each set counted once; none without such sets
    pub out_mean: Option<f64>,
    /// largest gap of the others
    pub out_max: Option<f64>,
}

/// Summary over sets: what the paper reports as 3 points on average and 7 at most.
///
/// # Source
/// Lin et al. 2024 (arXiv 2409.03650).
pub fn shifts(sets: &[Shift]) -> Shifts {
    let gaps =
        |inside: bool| sets.iter().filter(|s| s.in_distribution == inside).map(|s| s.gap.gap.value).collect::<Vec<_>>();
    let mean = |gaps: &[f64]| (!gaps.is_empty()).then(|| gaps.iter().sum::<f64>() / gaps.len() as f64);
    let outside = gaps(false);
    Shifts { in_distribution: mean(&gaps(true)), out_mean: mean(&outside), out_max: outside.into_iter().reduce(f64::max) }
}
