//! Accuracy on pairs, as a whole and by domain.
use crate::error::{EvaluationError, finite, same_length};
use crate::figures::{constant, mean, mean_of_groups};
use crate::stats::{Figure, sample_sd};
use serde::Serialize;

/// Credit for each pair: 1 if the chosen reward is larger, ½ if they are equal, so that a constant reward scores ½.
pub fn half_credit(chosen: &[f64], rejected: &[f64]) -> Vec<f64> {
    let credit = |(w, l): (&f64, &f64)| if w > l { 1.0 } else { 0.5 * f64::from(u8::from(w == l)) };
    chosen.iter().zip(rejected).map(credit).collect()
}

/// Share of pairs with the larger reward on the chosen side, equal ones counted by half. [`crate::reward_accuracy`] counts
/// them as failures, as trainers and RewardBench do.
///
/// # Errors
/// Empty or unequal slices, values that are not finite.
///
/// # Source
/// Razin et al. 2025 (arXiv 2507.07981).
pub fn pair_accuracy(chosen: &[f64], rejected: &[f64]) -> Result<Figure, EvaluationError> {
    check(chosen, rejected)?;
    Ok(mean("pairs", &half_credit(chosen, rejected))?.clamped(0.0, 1.0))
}

/// Mean distance of chosen and rejected reward in standard deviations of all rewards: comparable between rewards of
/// different scale.
///
/// # Errors
/// As [`pair_accuracy`]; rewards that are all equal.
///
/// # Source
/// Razin et al. 2025 (arXiv 2507.07981).
pub fn scale_free_margin(chosen: &[f64], rejected: &[f64]) -> Result<Figure, EvaluationError> {
    check(chosen, rejected)?;
    let sd = sample_sd(&[chosen, rejected].concat())?;
    if sd == 0.0 {
        return Err(constant("the reward"));
    }
    mean("pairs", &chosen.iter().zip(rejected).map(|(w, l)| (w - l).abs() / (sd + 1e-8)).collect::<Vec<_>>())
}

/// Accuracy in one domain.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Domain {
    /// its name
    pub name: String,
    /// accuracy with half credit for ties
    pub accuracy: Figure,
}

/// Accuracy by domain.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ByDomain {
    /// in the order of their names
    pub domains: Vec<Domain>,
    /// over all pairs
    pub micro: Figure,
    /// unweighted mean of the domains
    pub macro_mean: Figure,
}

/// [`pair_accuracy`] in each domain and overall.
///
/// # Errors
/// As [`pair_accuracy`]; another number of domains.
pub fn accuracy_by_domain(chosen: &[f64], rejected: &[f64], domains: &[&str]) -> Result<ByDomain, EvaluationError> {
    check(chosen, rejected)?;
    same_length("domains", chosen.len(), domains.len())?;
    let mut groups = std::collections::BTreeMap::<&str, [Vec<f64>; 2]>::new();
    for ((w, l), d) in chosen.iter().zip(rejected).zip(domains) {
        let [chosen, rejected] = groups.entry(d).or_default();
        chosen.push(*w);
        rejected.push(*l);
    }
    let of = |(name, [w, l]): (&str, [Vec<f64>; 2])| Ok(Domain { name: name.to_owned(), accuracy: pair_accuracy(&w, &l)? });
    let domains: Vec<Domain> = groups.into_iter().map(of).collect::<Result<_, EvaluationError>>()?;
    let macro_mean = mean_of_groups(&domains.iter().map(|d| d.accuracy).collect::<Vec<_>>());
    Ok(ByDomain { domains, micro: pair_accuracy(chosen, rejected)?, macro_mean })
}

pub(super) fn check(chosen: &[f64], rejected: &[f64]) -> Result<(), EvaluationError> {
    finite("chosen rewards", chosen)?;
    finite("rejected rewards", rejected)?;
    same_length("rejected rewards", chosen.len(), rejected.len())
}
