//! What the optimum of DPO and RLHF would rank rightly.
use super::ScoredPairs;
use super::ranking::count;
use crate::error::{EvaluationError, same_length};
use crate::figures::{positive, share, shares};
use crate::stats::{Bootstrap, Figure};
use serde::Serialize;

/// The β over which the paper takes its median.
pub const BETA_GRID: [f64; 5] = [0.01, 0.1, 1.0, 5.0, 10.0];
/// Stands in for unanimity, whose logit is infinite.
const UNANIMOUS: f64 = 1e-3;

/// Raters' agreement with the labels.
#[derive(Clone, Copy, Debug)]
pub enum Raters<'a> {
    /// share of raters for the chosen side, pair by pair
    Shares(&'a [f64]),
    /// the same share everywhere; the authors take 0.75 where it is unknown
    Same(f64),
}

impl Raters<'_> {
    fn shares(&self, pairs: usize) -> Result<Vec<f64>, EvaluationError> {
        let alpha = match *self {
            Raters::Shares(shares) => shares.to_vec(),
            Raters::Same(share) => vec![share; pairs],
        };
        check_alpha(&alpha, pairs)?;
        Ok(alpha)
    }
}

/// Idealised ranking accuracies over values of β.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Idealised {
    /// for each β, the accuracy of the optimal policy
    pub by_beta: Vec<(f64, Figure)>,
    /// the same with reference log-probabilities per token, if lengths are known
    pub by_beta_normalized: Option<Vec<(f64, Figure)>>,
}

/// Log-probability margin of the policy that is optimal for both DPO and RLHF on Bradley–Terry preferences:
/// `Δ_ref + logit(α)/β`. Shares of 0 and 1 stand for 0.001 and 0.999.
///
/// # Source
/// Chen et al. 2024, theorem 3.1.
pub fn optimal_margin(reference_margin: f64, alpha: f64, beta: f64) -> f64 {
    let alpha = alpha.clamp(UNANIMOUS, 1.0 - UNANIMOUS);
    reference_margin + (alpha.ln() - (-alpha).ln_1p()) / beta
}

/// Accuracy that an optimal policy would have, for each β: the share of pairs with a positive [`optimal_margin`].
///
/// Differs from the authors' unnormalised figures, whose code divides log-probabilities where the formula divides
/// probabilities.
///
/// # Errors
/// Pairs without a reference, β that is not positive, shares outside 0 … 1 or of another number.
///
/// # Source
/// Chen et al. 2024, corollary 3.3.
pub fn idealised_accuracy(pairs: &ScoredPairs<'_>, raters: Raters<'_>, betas: &[f64]) -> Result<Idealised, EvaluationError> {
    pairs.need_reference()?;
    let alpha = raters.shares(pairs.len())?;
    positive("beta", betas)?;
    let over = |margins: Vec<f64>| -> Result<Vec<(f64, Figure)>, EvaluationError> {
        let at = |beta: f64| {
            let optimal: Vec<f64> = margins.iter().zip(&alpha).map(|(m, a)| optimal_margin(*m, *a, beta)).collect();
            Ok((beta, share("pairs", count(&optimal, |m| m > 0.0), optimal.len())?))
        };
        betas.iter().map(|&beta| at(beta)).collect()
    };
    let by_beta = over(pairs.reference_margins().unwrap_or_default())?;
    Ok(Idealised { by_beta, by_beta_normalized: pairs.reference_margins_per_token().map(over).transpose()? })
}

/// Median of [`idealised_accuracy`] over the β minus the ranking accuracy of the policy, in shares: 0.19 is what the paper
/// calls 19 points.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AlignmentGap {
    /// of log-probabilities
    pub raw: Figure,
    /// of log-probabilities per token, if lengths are known
    pub normalized: Option<Figure>,
}

/// How far a policy's ranking accuracy lies below that of the ideal. The interval is a bootstrap over pairs.
///
/// # Errors
/// As [`idealised_accuracy`]; too few resamples.
///
/// # Source
/// Chen et al. 2024, appendix C.4.
pub fn alignment_gap(
    pairs: &ScoredPairs<'_>,
    raters: Raters<'_>,
    betas: &[f64],
    bootstrap: Bootstrap,
) -> Result<AlignmentGap, EvaluationError> {
    pairs.need_reference()?;
    let alpha = raters.shares(pairs.len())?;
    positive("beta", betas)?;
    let gap = |reference: &[f64], policy: &[f64]| {
        let optimal = |beta: f64| reference.iter().zip(&alpha).map(|(m, a)| optimal_margin(*m, *a, beta) > 0.0).collect();
        let ideal: Vec<Vec<bool>> = betas.iter().map(|&beta| optimal(beta)).collect();
        bootstrap.rows(policy.len(), |rows| {
            let rate = |right: &dyn Fn(usize) -> bool| rows.iter().filter(|&&i| right(i)).count() as f64 / rows.len() as f64;
            let mut ideal: Vec<f64> = ideal.iter().map(|right| rate(&|i| right[i])).collect();
            ideal.sort_by(f64::total_cmp);
            let (low, high) = (ideal[(ideal.len() - 1) / 2], ideal[ideal.len() / 2]);
            0.5 * (low + high) - rate(&|i| policy[i] >= 0.0)
        })
    };
    let raw = gap(&pairs.reference_margins().unwrap_or_default(), &pairs.margins())?;
    let normalized = pairs.reference_margins_per_token().zip(pairs.margins_per_token());
    Ok(AlignmentGap { raw, normalized: normalized.map(|(reference, policy)| gap(&reference, &policy)).transpose()? })
}

pub(super) fn check_alpha(alpha: &[f64], pairs: usize) -> Result<(), EvaluationError> {
    same_length("shares of raters", pairs, alpha.len())?;
    shares("shares of raters", alpha)
}
