//! DPO on rankings: the Plackett–Luce likelihood of the gold order.

use dfdx::prelude::*;
use tropism_core::{CoreError, Diagnostics, ListLogps, LossTerms};

use crate::options::{options, positive};
use crate::{Batch, Column, Domain, InputKind, Method, ObjectiveError};

options! {
    /// Options of [`plackett_luce()`].
    PlackettLuce = "plackett_luce", "Direct Preference Optimization and its standard loss variants, arXiv 2305.18290" {
        /// Weight of the implicit KL penalty, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
    }
}

/// The place of each answer in the gold order, 0 for the best.
pub(super) const RANK: Column = Column::cell("rank", Domain::Index);

impl Method for PlackettLuce {
    const INPUT: InputKind = InputKind::Lists;

    fn needs_reference(&self) -> bool {
        true
    }

    fn columns(&self) -> Vec<Column> {
        vec![RANK]
    }

    fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        batch: Batch<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
        let (policy, reference, columns) = batch.into_lists(Self::NAME)?;
        let reference = crate::batch::need(Self::NAME, reference)?;
        plackett_luce(policy, reference, columns.get(RANK.name).unwrap_or_default(), self)
    }
}

/// The Plackett–Luce loss of `P` lists of up to `K` ranked completions.
///
/// With `s = β (lp − rf)` in the gold order, best first:
///
/// ```text
/// losses = −Σ_i (s_(i) − log Σ_{j ≥ i} e^{s_(j)})     weights = 1
/// ∂losses/∂s_(j) = Σ_{i ≤ j} e^{s_(j)} / Σ_{k ≥ i} e^{s_(k)} − 1
/// ```
///
/// Two completions make DPO. `ranks` is `[P, K]` row by row, 0 for the best; what stands at masked places is not read, and a
/// list of one completion has the loss 0.
///
/// Reports `rewards/top_accuracies` (1 where the best completion has the largest reward), `rewards/best`, `rewards/worst`
/// and `counts`.
///
/// Source: Rafailov et al. 2023, arXiv 2305.18290, appendix A.3.
///
/// # Errors
/// [`ObjectiveError::Config`]; [`ObjectiveError::Column`] when two completions of a list share a rank; [`ObjectiveError::Core`] for
/// sizes that differ.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::ListLogps;
/// use tropism_objectives::{PlackettLuce, plackett_luce};
///
/// let dev = Cpu::default();
/// let list = |v: [f64; 4]| ListLogps::new(dev.tensor([v]), &[true; 4], &[5; 4]);
/// let policy = list([0.5 - 9.0, 0.2 - 9.0, -0.1 - 9.0, -0.6 - 9.0])?;
/// let config = PlackettLuce::default().with_beta(1.0);
/// let terms = plackett_luce(policy, list([-9.0; 4])?, &[0.0, 2.0, 1.0, 3.0], &config)?;
/// assert!((terms.values()[0] - 2.419198).abs() < 1e-6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn plackett_luce<P: Dim, K: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: ListLogps<P, K, E, D, T>,
    reference: ListLogps<P, K, E, D>,
    ranks: &[f64],
    config: &PlackettLuce,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let (rows, places) = policy.size();
    CoreError::check_size("reference list", rows * places, reference.mask().len())?;
    let (logps, theirs) = (policy.values(), reference.values());
    let scores: Vec<f64> = logps.iter().zip(&theirs).map(|(p, r)| config.beta * (p - r)).collect();
    let orders = gold_orders(PlackettLuce::NAME, ranks, policy.mask(), places)?;
    let (mut values, mut slopes) = (Vec::new(), vec![0.0; rows * places]);
    for order in &orders {
        let (value, gradient) = ranking_loss(&order.iter().map(|&i| scores[i]).collect::<Vec<f64>>());
        values.push(value);
        order.iter().zip(gradient).for_each(|(&i, g)| slopes[i] = config.beta * g);
    }
    let diagnostics = diagnostics(&orders, &scores)?;
    Ok(LossTerms::new(policy.attach(&values, &slopes)?, vec![1.0; rows], diagnostics)?)
}

/// Places of each list's completions in gold order, best first.
pub(crate) fn gold_orders(
    method: &'static str,
    ranks: &[f64],
    mask: &[bool],
    places: usize,
) -> Result<Vec<Vec<usize>>, ObjectiveError> {
    CoreError::check_size(RANK.name, mask.len(), ranks.len())?;
    RANK.check(method, ranks)?;
    let mut orders = Vec::with_capacity(mask.len() / places);
    for row in 0..mask.len() / places {
        let mut order: Vec<usize> = (row * places..(row + 1) * places).filter(|&i| mask[i]).collect();
        order.sort_by(|&i, &j| ranks[i].total_cmp(&ranks[j]));
        if let Some(pair) = order.windows(2).find(|w| ranks[w[0]] == ranks[w[1]]) {
            let requirement = "different from the other ranks of its list";
            let (entry, value) = (pair[1], ranks[pair[1]]);
            return Err(ObjectiveError::Column { method, column: RANK.name, entry, value, requirement });
        }
        orders.push(order);
    }
    Ok(orders)
}

/// Plackett–Luce loss of scores in gold order, and its gradient.
pub(crate) fn ranking_loss(scores: &[f64]) -> (f64, Vec<f64>) {
    let (mut value, mut gradient) = (0.0, vec![0.0; scores.len()]);
    for i in 0..scores.len().saturating_sub(1) {
        let rest = &scores[i..];
        let top = rest.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = rest.iter().map(|s| (s - top).exp()).sum();
        value += top + sum.ln() - scores[i];
        gradient[i] -= 1.0;
        gradient[i..].iter_mut().zip(rest).for_each(|(g, s)| *g += (s - top).exp() / sum);
    }
    (value, gradient)
}

/// Figures of ranked lists from their rewards.
fn diagnostics(orders: &[Vec<usize>], rewards: &[f64]) -> Result<Diagnostics, CoreError> {
    let place = |order: &[usize], at: Option<usize>| at.map_or(0.0, |i| rewards[order[i]]);
    let best = |order: &[usize]| place(order, (!order.is_empty()).then_some(0));
    let top = |order: &[usize]| order.iter().skip(1).all(|&i| rewards[i] < best(order));
    let mut diagnostics = Diagnostics::default();
    diagnostics.push("rewards/top_accuracies", orders.iter().map(|o| crate::diagnostics::flag(top(o))).collect())?;
    diagnostics.push("rewards/best", orders.iter().map(|o| best(o)).collect())?;
    diagnostics.push("rewards/worst", orders.iter().map(|o| place(o, o.len().checked_sub(1))).collect())?;
    diagnostics.push("counts", orders.iter().map(|o| o.len() as f64).collect())?;
    Ok(diagnostics)
}
