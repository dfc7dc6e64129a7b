//! Several reward models at once.
use crate::error::{EvaluationError, finite, same_length};
use crate::figures::{mean, share};
use crate::stats::Figure;

/// How the rewards of an ensemble become one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Combine {
    /// their mean
    Mean,
    /// the lowest: worst-case optimisation
    Min,
    /// their mean minus this many variances: uncertainty-weighted optimisation
    MeanMinusVariance(f64),
    /// their median
    Median,
}

/// One reward per answer; `members` holds the rewards of each reward model. Bring models to one scale first: Bradley–Terry
/// rewards are known up to a constant only.
///
/// # Errors
/// No members, members of unequal length, values that are not finite.
///
/// # Source
/// Coste et al. 2023, "Reward model ensembles help mitigate overoptimization".
pub fn combine(members: &[&[f64]], rule: Combine) -> Result<Vec<f64>, EvaluationError> {
    check(members)?;
    let of = |answer: usize| {
        let mut rewards: Vec<f64> = members.iter().map(|m| m[answer]).collect();
        rewards.sort_by(f64::total_cmp);
        let n = rewards.len();
        let (mean, variance) = moments(&rewards);
        match rule {
            Combine::Mean => mean,
            Combine::Min => rewards[0],
            Combine::MeanMinusVariance(weight) => mean - weight * variance,
            Combine::Median => 0.5 * (rewards[(n - 1) / 2] + rewards[n / 2]),
        }
    };
    Ok((0..members[0].len()).map(of).collect())
}

/// Mean over answers of the standard deviation between members (dividing by their number): what the ensemble does not know.
///
/// # Errors
/// As [`combine`].
pub fn disagreement(members: &[&[f64]]) -> Result<Figure, EvaluationError> {
    check(members)?;
    let sd = |answer: usize| moments(&members.iter().map(|m| m[answer]).collect::<Vec<_>>()).1.sqrt();
    mean("answers", &(0..members[0].len()).map(sd).collect::<Vec<_>>())
}

/// Share of pairs on whose order all members agree; `chosen` and `rejected` hold the rewards of each member.
///
/// # Errors
/// As [`combine`]; sides of unequal size.
pub fn unanimous(chosen: &[&[f64]], rejected: &[&[f64]]) -> Result<Figure, EvaluationError> {
    check(chosen)?;
    check(rejected)?;
    same_length("members of the rejected side", chosen.len(), rejected.len())?;
    same_length("rejected rewards", chosen[0].len(), rejected[0].len())?;
    let sign = |member: usize, pair: usize| chosen[member][pair].partial_cmp(&rejected[member][pair]);
    let pairs = chosen[0].len();
    let agreed = (0..pairs).filter(|&pair| (1..chosen.len()).all(|m| sign(m, pair) == sign(0, pair))).count();
    share("pairs", agreed, pairs)
}

fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n)
}

fn check(members: &[&[f64]]) -> Result<(), EvaluationError> {
    let first = members.first().ok_or(EvaluationError::Empty { what: "the ensemble" })?;
    members.iter().try_for_each(|m| {
        finite("rewards of a member", m).and_then(|()| same_length("rewards of a member", first.len(), m.len()))
    })
}
