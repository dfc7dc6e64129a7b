//! Whether a policy ranks pairs as people do.
use super::ScoredPairs;
use crate::error::{EvaluationError, finite, same_length};
use crate::figures::{mean, share};
use crate::stats::Figure;
use serde::Serialize;

/// Ranking accuracies of policy and reference, beside what trainers log.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RankingReport {
    /// share of pairs with a chosen log-probability at least as large as the rejected one (ties are correct, definition 2.3)
    pub accuracy: Figure,
    /// the same per token
    pub accuracy_normalized: Option<Figure>,
    /// of the reference
    pub reference_accuracy: Option<Figure>,
    /// of the reference, per token
    pub reference_accuracy_normalized: Option<Figure>,
    /// share of pairs with a positive implicit reward margin (`rewards/accuracies`): not a ranking accuracy
    pub reward_accuracy: Option<Figure>,
    /// mean of `h = Δ − Δ_ref`, the implicit reward margin without β
    pub reward_margin: Option<Figure>,
    /// what training changed
    pub flips: Option<Flips>,
}

/// Pairs by whether the reference and the policy rank them rightly.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Flips {
    /// both right
    pub kept_right: usize,
    /// reference wrong, policy right
    pub righted: usize,
    /// reference right, policy wrong
    pub unlearnt: usize,
    /// both wrong
    pub kept_wrong: usize,
    /// share of the pairs that the reference gets wrong which the policy gets right; none without such pairs
    pub flip_rate: Option<Figure>,
    /// share of the pairs that the reference gets right which the policy gets wrong; none without such pairs
    pub unlearnt_rate: Option<Figure>,
}

/// Ranking accuracy with and without lengths and reference, as far as the pairs allow.
///
/// # Errors
/// None for pairs that could be made; kept for figures that need more.
///
/// # Source
/// Chen et al. 2024 (arXiv 2405.19534), definition 2.3, equation 15, remark 2.5. Ties count as correct here, as in the paper;
/// [`crate::ranking_accuracy`] counts them as failures and reports them.
pub fn ranking_report(pairs: &ScoredPairs<'_>) -> Result<RankingReport, EvaluationError> {
    let accuracy = |margins: Vec<f64>| right_share(&margins);
    let margins = pairs.margins();
    let reference = pairs.reference_margins();
    let gained = reference.as_ref().map(|r| super::scored::subtract(&margins, r));
    Ok(RankingReport {
        accuracy: right_share(&margins)?,
        accuracy_normalized: pairs.margins_per_token().map(accuracy).transpose()?,
        reference_accuracy: reference.clone().map(accuracy).transpose()?,
        reference_accuracy_normalized: pairs.reference_margins_per_token().map(accuracy).transpose()?,
        reward_accuracy: gained.as_ref().map(|h| share("pairs", count(h, |h| h > 0.0), h.len())).transpose()?,
        reward_margin: gained.as_ref().map(|h| mean("pairs", h)).transpose()?,
        flips: reference.map(|r| Flips::of(&r, &margins)).transpose()?,
    })
}

impl Flips {
    fn of(reference: &[f64], policy: &[f64]) -> Result<Self, EvaluationError> {
        let cell = |before: bool, after: bool| {
            reference.iter().zip(policy).filter(|(r, p)| (**r >= 0.0) == before && (**p >= 0.0) == after).count()
        };
        let (kept_right, unlearnt) = (cell(true, true), cell(true, false));
        let (righted, kept_wrong) = (cell(false, true), cell(false, false));
        let rate = |hits: usize, n: usize| (n > 0).then(|| share("pairs", hits, n)).transpose();
        let flip_rate = rate(righted, righted + kept_wrong)?;
        let unlearnt_rate = rate(unlearnt, unlearnt + kept_right)?;
        Ok(Self { kept_right, righted, unlearnt, kept_wrong, flip_rate, unlearnt_rate })
    }
}

/// Accuracy where raters may tie (`alpha` of 0.5): right if the probabilities differ by less than `tolerance`, otherwise if
/// the order follows the majority. Give log-probabilities per token: probabilities of whole completions are all about 0, so
/// every pair of them would tie.
///
/// # Errors
/// Slices of unequal length, shares outside 0 … 1, no pairs, values that are not finite.
///
/// # Source
/// Chen et al. 2024, definition C.1, with a tolerance of 0.01.
pub fn tie_aware_accuracy(first: &[f64], second: &[f64], alpha: &[f64], tolerance: f64) -> Result<Figure, EvaluationError> {
    finite("logps per token of the first", first)?;
    finite("logps per token of the second", second)?;
    same_length("logps per token of the second", first.len(), second.len())?;
    super::idealised::check_alpha(alpha, first.len())?;
    let right = |((a, b), alpha): ((&f64, &f64), &f64)| {
        let tied = *alpha == 0.5;
        let order = if *alpha > 0.5 { a > b } else { a < b };
        if tied { (a.exp() - b.exp()).abs() < tolerance } else { order }
    };
    let hits = first.iter().zip(second).zip(alpha).filter(|row| right(*row)).count();
    share("pairs", hits, first.len())
}

/// Share of prompts whose whole list of responses is ranked as people rank it (`K > 2`): chance is `1/K!`. A list holds the
/// log-probabilities of its responses and their places, counted from the best; places have no ties.
///
/// # Errors
/// No lists, slices of unequal length, values that are not finite.
///
/// # Source
/// Chen et al. 2024, definition A.8.
pub fn exact_match_accuracy(logps: &[&[f64]], places: &[&[usize]]) -> Result<Figure, EvaluationError> {
    same_length("lists of places", logps.len(), places.len())?;
    let mut hits = 0;
    for (logps, places) in logps.iter().zip(places) {
        finite("logps", logps)?;
        same_length("places", logps.len(), places.len())?;
        let mut order: Vec<usize> = (0..logps.len()).collect();
        order.sort_by_key(|&i| places[i]);
        hits += usize::from(order.windows(2).all(|w| logps[w[0]] >= logps[w[1]]));
    }
    share("lists", hits, logps.len())
}

/// Share of margins that are not negative.
fn right_share(margins: &[f64]) -> Result<Figure, EvaluationError> {
    share("pairs", count(margins, |m| m >= 0.0), margins.len())
}

pub(super) fn count(values: &[f64], holds: impl Fn(f64) -> bool) -> usize {
    values.iter().filter(|v| holds(**v)).count()
}
