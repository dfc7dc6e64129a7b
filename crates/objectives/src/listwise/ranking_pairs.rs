//! Rankings as pairs: DPO on pairs taken from each list.

use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use tropism_core::{ListLogps, LossTerms};

use super::plackett_luce::{RANK, gold_orders};
use super::score::{ScoredLists, on_lists};
use crate::options::{any, options, positive};
use crate::{Normalization, ObjectiveError, link};

/// Which pairs of a ranking count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhichPairs {
    /// Every answer with every worse one.
    #[default]
    All,
    /// Every answer with the next worse one.
    Adjacent,
    /// The best answer with every other.
    BestAndOthers,
    /// The best answer with the worst.
    BestAndWorst,
}

/// How the losses of a list's pairs become the loss of the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PairTotal {
    /// Their mean: every list counts the same.
    #[default]
    Mean,
    /// Their sum: every pair counts the same.
    Sum,
}

options! {
    /// Options of [`ranking_pairs()`].
    RankingPairs = "ranking_pairs", "A Survey of Direct Preference Optimization, arXiv 2503.11701" {
        /// Weight of the implicit KL penalty, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
        /// Which pairs of a ranking count; all by default.
        pairs: WhichPairs = WhichPairs::All, with_pairs, any;
        /// Mean (the default) or sum over the pairs of a list.
        total: PairTotal = PairTotal::Mean, with_total, any;
    }
}

on_lists!(RankingPairs, ranking_pairs, RANK);

/// The DPO loss of pairs taken from `P` lists of up to `K` ranked completions.
///
/// With `s = β (lp − rf)` in the gold order and `S` the pairs `i` before `j` that `pairs` takes:
///
/// ```text
/// losses = mean over (i, j) in S of −log σ(s_(i) − s_(j))     weights = 1
/// ∂losses/∂s_(i) = −σ(s_(j) − s_(i)) / |S| per pair,     ∂losses/∂s_(j) = its opposite
/// ```
///
/// `total = "sum"` leaves out the division by `|S|`. `ranks` is `[P, K]` row by row, 0 for the best. A list of one completion
/// has the loss 0; one of two makes DPO.
///
/// Source: reductions of rankings to pairs as in Rafailov et al. 2023, arXiv 2305.18290 and Liu et al. 2024, arXiv 2402.01878.
///
/// # Errors
/// [`ObjectiveError::Config`]; [`ObjectiveError::Column`] when two completions of a list share a rank;
/// [`ObjectiveError::UnevenLengths`]; [`ObjectiveError::Core`] for sizes that differ.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::ListLogps;
/// use tropism_objectives::{RankingPairs, WhichPairs, ranking_pairs};
///
/// let dev = Cpu::default();
/// let list = |v: [f64; 3]| ListLogps::new(dev.tensor([v]), &[true; 3], &[5; 3]);
/// let config = RankingPairs::default().with_pairs(WhichPairs::BestAndWorst);
/// let terms = ranking_pairs(list([-9.0, -10.0, -12.0])?, list([-10.0, -10.0, -11.5])?, &[0.0, 1.0, 2.0], &config)?;
/// assert!((terms.values()[0] - 0.62095705).abs() < 1e-8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn ranking_pairs<P: Dim, K: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: ListLogps<P, K, E, D, T>,
    reference: ListLogps<P, K, E, D>,
    ranks: &[f64],
    config: &RankingPairs,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    gold_orders(RankingPairs::NAME, ranks, policy.mask(), policy.size().1)?;
    let goodness: Vec<f64> = ranks.iter().map(|r| -r).collect();
    let scored = ScoredLists::new(policy, &reference, Normalization::Sum)?;
    scored.by_list(config.beta, &goodness, |cells, scores| {
        let mut order: Vec<usize> = (0..cells.len()).collect();
        order.sort_by(|&i, &j| ranks[cells[i]].total_cmp(&ranks[cells[j]]));
        let pairs = config.pairs.of(&order);
        let share = if config.total == PairTotal::Mean { 1.0 / pairs.len().max(1) as f64 } else { 1.0 };
        let (mut value, mut gradient) = (0.0, vec![0.0; cells.len()]);
        for (i, j) in pairs {
            let (loss, slope) = link::logistic(scores[i] - scores[j]);
            value += share * loss;
            gradient[i] += share * slope;
            gradient[j] -= share * slope;
        }
        (value, gradient)
    })
}

impl WhichPairs {
    /// Pairs (better, worse) of an order, best first.
    fn of(self, order: &[usize]) -> Vec<(usize, usize)> {
        let last = order.len().saturating_sub(1);
        let takes = |a: usize, b: usize| match self {
            Self::All => true,
            Self::Adjacent => b == a + 1,
            Self::BestAndOthers => a == 0,
            Self::BestAndWorst => a == 0 && b == last,
        };
        let all = (0..order.len()).flat_map(|a| (a + 1..order.len()).map(move |b| (a, b)));
        all.filter(|&(a, b)| takes(a, b)).map(|(a, b)| (order[a], order[b])).collect()
    }
}
