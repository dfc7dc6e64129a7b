//! LiPO-λ: pairs of a list, weighted by what swapping them would change in the gain.

use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use tropism_core::{CoreError, ListLogps, LossTerms};

use super::score::{RELEVANCE, ScoredLists, on_lists};
use crate::options::{any, options, positive};
use crate::{Normalization, ObjectiveError, link};

/// What a list's loss is divided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListScale {
    /// Nothing: the sum over pairs.
    #[default]
    None,
    /// The discounted gain of the best order (1 where it is 0).
    IdealGain,
}

options! {
    /// Options of [`lambda_ranking()`].
    LambdaRanking = "lambda_ranking", "A Survey of Direct Preference Optimization, arXiv 2503.11701" {
        /// Weight of the implicit KL penalty, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
        /// What a list's loss is divided by; nothing by default.
        scale: ListScale = ListScale::None, with_scale, any;
    }
}

on_lists!(LambdaRanking, lambda_ranking, RELEVANCE);

/// The λ-loss of `P` lists of up to `K` completions with relevance `ψ`.
///
/// With `s = β (lp − rf)`, gains `G = 2^ψ − 1` and discounts `D = 1 / log2(1 + rank)` where `rank` counts from 1 by falling `s`:
///
/// ```text
/// losses = Σ_{ψ_i > ψ_j} |G_i − G_j| |D_i − D_j| (−log σ(s_i − s_j))     weights = 1
/// ∂losses/∂s_i = −Σ_j λ_ij σ(s_j − s_i)     ∂losses/∂s_j = +λ_ij σ(s_j − s_i)
/// ```
///
/// Ranks carry no gradient, so the loss jumps where two scores cross; of equal scores the earlier place is ranked first.
/// `relevance` is `[P, K]` row by row, at least 0. Log-probabilities are sums over tokens, in nats.
///
/// Source: Liu et al. 2024, arXiv 2402.01878 (LiPO-λ).
///
/// # Errors
/// [`ObjectiveError::Config`]; [`ObjectiveError::Column`] for a relevance below 0; [`ObjectiveError::UnevenLengths`] when the
/// reference scored other answers; [`ObjectiveError::Core`] for sizes that differ.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::ListLogps;
/// use tropism_objectives::{LambdaRanking, lambda_ranking};
///
/// let dev = Cpu::default();
/// let list = |v: [f64; 4]| ListLogps::new(dev.tensor([v]), &[true; 4], &[5; 4]);
/// let policy = list([0.5 - 9.0, 0.2 - 9.0, -0.1 - 9.0, -0.6 - 9.0])?;
/// let config = LambdaRanking::default().with_beta(1.0);
/// let terms = lambda_ranking(policy, list([-9.0; 4])?, &[3.0, 1.0, 2.0, 0.0], &config)?;
/// assert!((terms.values()[0] - 3.644288).abs() < 1e-6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn lambda_ranking<P: Dim, K: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: ListLogps<P, K, E, D, T>,
    reference: ListLogps<P, K, E, D>,
    relevance: &[f64],
    config: &LambdaRanking,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    CoreError::check_size(RELEVANCE.name, policy.mask().len(), relevance.len())?;
    RELEVANCE.check(LambdaRanking::NAME, relevance)?;
    let scored = ScoredLists::new(policy, &reference, Normalization::Sum)?;
    scored.by_list(config.beta, relevance, |cells, scores| {
        let gains: Vec<f64> = cells.iter().map(|&i| relevance[i].exp2() - 1.0).collect();
        list_loss(scores, &gains, config.scale)
    })
}

/// `1 / log2(1 + rank)` of each entry, where the largest value has rank 1.
fn discounts(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&i, &j| values[j].total_cmp(&values[i]));
    let mut discounts = vec![0.0; values.len()];
    order.iter().enumerate().for_each(|(place, &i)| discounts[i] = 1.0 / (place as f64 + 2.0).log2());
    discounts
}

/// Loss of one list and its slope in each score.
fn list_loss(scores: &[f64], gains: &[f64], scale: ListScale) -> (f64, Vec<f64>) {
    let (discount, mut value, mut gradient) = (discounts(scores), 0.0, vec![0.0; scores.len()]);
    let ideal: f64 = gains.iter().zip(discounts(gains)).map(|(g, d)| g * d).sum();
    let divisor = if scale == ListScale::IdealGain && ideal > 0.0 { ideal } else { 1.0 };
    for i in 0..scores.len() {
        for j in (0..scores.len()).filter(|&j| gains[i] > gains[j]) {
            let weight = (gains[i] - gains[j]) * (discount[i] - discount[j]).abs() / divisor;
            let (loss, slope) = link::logistic(scores[i] - scores[j]);
            value += weight * loss;
            gradient[i] += weight * slope;
            gradient[j] -= weight * slope;
        }
    }
    (value, gradient)
}
