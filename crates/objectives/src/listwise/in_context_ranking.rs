//! In-context ranking preference optimisation: items of one answer, with relevance and position.

use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use tropism_core::{CoreError, ListLogps, LossTerms};

use super::plackett_luce::RANK;
use super::score::{RELEVANCE, ScoredLists, log_sum_exp};
use crate::options::{any, options, positive};
use crate::{Batch, Column, InputKind, Method, Normalization, ObjectiveError, link};

/// How an item is compared with the others of its list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PositionPreference {
    /// With the mean odds of the others, averaged over the items: the released code.
    #[default]
    MeanOdds,
    /// With the summed odds of the others, summed over the items: a weighted softmax cross-entropy, the paper's form.
    SummedOdds,
}

/// How an item's weight falls with its target position `rank`, counted from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PositionDiscount {
    /// `(2^y − 1) / log2(1 + rank)`, as in NDCG.
    #[default]
    Gain,
    /// `1 / log2(1 + rank)`: relevance is not read for the weight.
    PositionOnly,
    /// `(2^y − 1) / rank`.
    Reciprocal,
}

options! {
    /// Options of [`in_context_ranking()`].
    InContextRanking = "in_context_ranking", "In-context Ranking Preference Optimization, arXiv 2504.15477" {
        /// Scale of the log-ratios, `β > 0`; 1 by default.
        beta: f64 = 1.0, with_beta, positive;
        /// How an item is compared with the others; as in the released code by default.
        preference: PositionPreference = PositionPreference::MeanOdds, with_preference, any;
        /// How weights fall with the position; as in NDCG by default.
        discount: PositionDiscount = PositionDiscount::Gain, with_discount, any;
        /// Whether an item's log-probability is a mean over its tokens (the default) or a sum.
        normalization: Normalization = Normalization::Mean, with_normalization, any;
    }
}

impl Method for InContextRanking {
    const INPUT: InputKind = InputKind::Lists;

    fn needs_reference(&self) -> bool {
        true
    }

    fn columns(&self) -> Vec<Column> {
        vec![RELEVANCE, RANK]
    }

    fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        batch: Batch<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
        let (policy, reference, columns) = batch.into_lists(Self::NAME)?;
        let reference = crate::batch::need(Self::NAME, reference)?;
        let column = |c: Column| columns.get(c.name).unwrap_or_default();
        in_context_ranking(policy, reference, column(RELEVANCE), column(RANK), self)
    }
}

/// The in-context ranking loss of `P` lists of up to `K` items with relevance `y` and target position.
///
/// With `r = (lp − rf) / n` per item of `n` tokens (nats per token), `K` the items that are there, and weights
/// `w_i = (2^{y_i} − 1) / log2(1 + rank_i)` without gradient:
///
/// ```text
/// m_i = log Σ_{j≠i} e^{β (r_j − r_i)} − log(K−1)
/// losses = −(1/K) Σ_i w_i log σ(−m_i)     weights = 1
/// ∂losses/∂r_j = β (Σ_{i≠j} c_i q_ij − c_j),   c_i = w_i σ(m_i) / K,   q_i = softmax over j≠i of β r_j
/// ```
///
/// `preference = "summed_odds"` leaves out `log(K−1)` and `1/K`; then the loss is `−Σ_i w_i log softmax(β r)_i`. Items of
/// weight 0 are only pushed down. Lists of one item have the loss 0.
///
/// `relevance` and `ranks` are `[P, K]` row by row; `ranks` counts from 0 for the best, `rank_i` of the formula from 1. The loss
/// depends on an item's tokens being scored in the order in which the items were written.
///
/// The released code excludes an item from its own sum by taking 100 off its difference, which fails for small `β`; here it is
/// left out. The released code sums over the lists of a batch; here the step's mean over lists is taken.
///
/// Source: In-context Ranking Preference Optimization, arXiv 2504.15477, and its authors' code (`rdpo`). Not iterative
/// reasoning preference optimisation, which shares the abbreviation.
///
/// # Errors
/// [`ObjectiveError::Config`]; [`ObjectiveError::Column`]; [`ObjectiveError::UnevenLengths`] when the reference scored other
/// items; [`ObjectiveError::Core`] for sizes that differ.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::ListLogps;
/// use tropism_objectives::{InContextRanking, in_context_ranking};
///
/// let dev = Cpu::default();
/// let list = |v: [f64; 4]| ListLogps::new(dev.tensor([v]), &[true; 4], &[1; 4]);
/// let (policy, reference) = (list([-0.9, -1.4, -0.6, -1.1])?, list([-1.0, -1.2, -0.8, -1.3])?);
/// let (relevance, ranks) = ([2.0, 0.0, 1.0, 0.0], [0.0, 2.0, 1.0, 3.0]);
/// let terms = in_context_ranking(policy, reference, &relevance, &ranks, &InContextRanking::default())?;
/// assert!((terms.values()[0] - 0.61147851).abs() < 1e-8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn in_context_ranking<P: Dim, K: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: ListLogps<P, K, E, D, T>,
    reference: ListLogps<P, K, E, D>,
    relevance: &[f64],
    ranks: &[f64],
    config: &InContextRanking,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    for (column, values) in [(RELEVANCE, relevance), (RANK, ranks)] {
        CoreError::check_size(column.name, policy.mask().len(), values.len())?;
        column.check(InContextRanking::NAME, values)?;
    }
    let weight = |i: usize| config.discount.weight(relevance[i], ranks[i] + 1.0);
    let scored = ScoredLists::new(policy, &reference, config.normalization)?;
    scored.by_list(config.beta, relevance, |cells, scores| {
        let weights: Vec<f64> = cells.iter().map(|&i| weight(i)).collect();
        list_loss(scores, &weights, config.preference)
    })
}

impl PositionDiscount {
    fn weight(self, relevance: f64, rank: f64) -> f64 {
        match self {
            Self::Gain => (relevance.exp2() - 1.0) / (1.0 + rank).log2(),
            Self::PositionOnly => 1.0 / (1.0 + rank).log2(),
            Self::Reciprocal => (relevance.exp2() - 1.0) / rank,
        }
    }
}

/// Loss of one list and its slope in each score.
fn list_loss(scores: &[f64], weights: &[f64], preference: PositionPreference) -> (f64, Vec<f64>) {
    let items = scores.len();
    let (mut value, mut gradient) = (0.0, vec![0.0; items]);
    if items < 2 {
        return (value, gradient);
    }
    let (shift, factor) = match preference {
        PositionPreference::MeanOdds => (((items - 1) as f64).ln(), 1.0 / items as f64),
        PositionPreference::SummedOdds => (0.0, 1.0),
    };
    for i in 0..items {
        let total = log_sum_exp((0..items).filter(|&j| j != i).map(|j| scores[j]));
        let (loss, slope) = link::logistic(scores[i] - total + shift);
        let weight = factor * weights[i];
        value += weight * loss;
        gradient[i] += weight * slope;
        for j in (0..items).filter(|&j| j != i) {
            gradient[j] -= weight * slope * (scores[j] - total).exp();
        }
    }
    (value, gradient)
}
