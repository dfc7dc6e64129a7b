//! Where training moves the likelihood of the pairs.
use super::ScoredPairs;
use super::scored::subtract;
use crate::error::EvaluationError;
use crate::figures::{mean, share};
use crate::stats::Figure;
use serde::Serialize;

/// Changes of log-probabilities from reference to policy, in nats per completion.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Displacement {
    /// mean change of chosen completions; likelihood displacement where it is negative
    pub chosen: Figure,
    /// mean change of rejected completions
    pub rejected: Figure,
    /// the same per token of each completion, if lengths are known: chosen, then rejected
    pub per_token: Option<[Figure; 2]>,
    /// share of pairs whose chosen completion lost likelihood
    pub chosen_fell: Figure,
    /// share of pairs that lost likelihood on both sides
    pub both_fell: Figure,
}

/// Likelihood displacement: preferred completions may lose likelihood while the margin grows.
///
/// # Errors
/// Pairs without a reference.
///
/// # Source
/// Razin et al. 2024, "Unintentional unalignment"; Pal et al. 2024 (DPO-Positive).
pub fn displacement(pairs: &ScoredPairs<'_>) -> Result<Displacement, EvaluationError> {
    let [ref_chosen, ref_rejected] = pairs.need_reference()?;
    let changes = [subtract(pairs.chosen, ref_chosen), subtract(pairs.rejected, ref_rejected)];
    let per_token = |side: usize, tokens: &[usize]| {
        mean("pairs", &changes[side].iter().zip(tokens).map(|(d, &n)| d / n.max(1) as f64).collect::<Vec<_>>())
    };
    let n = pairs.len();
    let fell = |i: usize, side: usize| changes[side][i] < 0.0;
    Ok(Displacement {
        chosen: mean("pairs", &changes[0])?,
        rejected: mean("pairs", &changes[1])?,
        per_token: match pairs.tokens {
            Some([w, l]) => Some([per_token(0, w)?, per_token(1, l)?]),
            None => None,
        },
        chosen_fell: share("pairs", (0..n).filter(|&i| fell(i, 0)).count(), n)?,
        both_fell: share("pairs", (0..n).filter(|&i| fell(i, 0) && fell(i, 1)).count(), n)?,
    })
}
