//! Group-robust preference optimisation: groups of judges with a large loss count for more.

use dfdx::prelude::*;
use tropism_core::{Columns, CoreError, LossTerms, PairLogps};

use crate::options::{not_negative, options, pair_method};
use crate::pairwise::weighted::{weighted, weights_rows};
use crate::{Column, Domain, Dpo, Objective, ObjectiveError};

options! {
    /// Options of [`group_robust()`].
    GroupRobust = "group_robust", "A Survey of Direct Preference Optimization, arXiv 2503.11701" {
        /// The loss that is weighted, a method on pairs; DPO by default.
        base: Box<Objective> = Box::new(Dpo::default().into()), with_base, |m, k, b: &Objective| pair_method(m, k, b);
    }
}

/// The weight of the pair's group over its share of the pairs.
const COLUMN: Column = Column::row("group_weight", Domain::NotNegative);

weights_rows!(GroupRobust, COLUMN);

impl GroupRobust {
    /// The weights as they are.
    fn weights(&self, weights: &[f64]) -> Vec<f64> {
        weights.to_vec()
    }
}

/// A loss of pairs weighted by group, for the worst group's sake.
///
/// With the weight `α_g` of a pair's group and the group's share `s_g` of the pairs (column `group_weight` holds `α_g /
/// s_g`):
///
/// ```text
/// losses = (α_g / s_g) · base      weights as base says, so that the mean is Σ_g α_g · (mean of group g)
/// α_g ← α_g e^{step · (mean of group g)} / Σ      after each step: see GroupWeights
/// ```
///
/// The weights are constants of a step; [`GroupWeights`] holds and moves them. At `α_g = s_g` it is `base`. Reports
/// `weights`.
///
/// Source: Ramesh et al. 2024, arXiv 2405.20304 (GRPO there; not the policy-gradient method of that name).
///
/// # Errors
/// [`ObjectiveError::Column`] for an entry that is not allowed, [`ObjectiveError::Core`] unless there is one per pair,
/// [`ObjectiveError::Option`], and those of `base`.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{GroupRobust, group_robust};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-10.0_f64]), dev.tensor([-12.0]), &[5], &[8])?;
/// let reference = PairLogps::new(dev.tensor([-11.0_f64]), dev.tensor([-11.5]), &[5], &[8])?;
/// let terms = group_robust(policy, reference, &[2.0], &GroupRobust::default())?;
/// assert!((terms.values()[0] - 2.0 * 0.62095705).abs() < 1e-7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn group_robust<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: impl Into<Option<PairLogps<P, E, D>>>,
    weights: &[f64],
    config: &GroupRobust,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    CoreError::check_size(COLUMN.name, policy.rows(), weights.len())?;
    COLUMN.check(GroupRobust::NAME, weights)?;
    weighted(policy, reference.into(), &Columns::default(), &config.base, config.weights(weights))
}

/// Weights of groups on the simplex, moved by exponentiated gradient ascent on the groups' losses.
///
/// ```
/// use tropism_objectives::GroupWeights;
///
/// let mut weights = GroupWeights::new(&[3, 1], 0.5)?;
/// assert_eq!(weights.column(&[0, 1])?, [0.75 / 0.75, 0.25 / 0.25]);
/// weights.update(&[0.2, 0.2, 0.2, 1.2], &[0, 0, 0, 1])?;
/// let odds = weights.weights()[1] / weights.weights()[0];
/// assert!((odds - 0.5_f64.exp() / 3.0).abs() < 1e-12);
/// # Ok::<(), tropism_objectives::ObjectiveError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct GroupWeights {
    weights: Vec<f64>,
    shares: Vec<f64>,
    step: f64,
}

impl GroupWeights {
    /// Groups of the given numbers of pairs, weighted by their shares; `step ≥ 0` per nat of loss.
    ///
    /// # Errors
    /// [`ObjectiveError::Config`] for a bad step, [`ObjectiveError::Option`] for a group without pairs or no group.
    pub fn new(pairs: &[usize], step: f64) -> Result<Self, ObjectiveError> {
        not_negative(GroupRobust::NAME, "step", &step)?;
        if pairs.is_empty() || pairs.contains(&0) {
            return Err(problem(format!("hold {pairs:?} pairs; give at least one group, and at least one pair to each")));
        }
        let total: usize = pairs.iter().sum();
        let shares: Vec<f64> = pairs.iter().map(|&n| n as f64 / total as f64).collect();
        Ok(Self { weights: shares.clone(), shares, step })
    }

    /// The weights `α`, which add up to 1.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// The column `group_weight` of pairs of the given groups.
    ///
    /// # Errors
    /// [`ObjectiveError::Option`] for a group that is not there.
    pub fn column(&self, groups: &[usize]) -> Result<Vec<f64>, ObjectiveError> {
        groups.iter().map(|&g| Ok(self.weights[self.place(g)?] / self.shares[g])).collect()
    }

    /// Moves the weights by the unweighted losses of pairs of the given groups; groups without a pair count as 0 loss.
    ///
    /// # Errors
    /// [`ObjectiveError::Core`] unless there is one group per loss and all losses are finite, [`ObjectiveError::Option`]
    /// for a group that is not there.
    pub fn update(&mut self, losses: &[f64], groups: &[usize]) -> Result<(), ObjectiveError> {
        CoreError::check_size("groups", losses.len(), groups.len())?;
        CoreError::check_finite("loss", losses)?;
        let (mut sums, mut counts) = (vec![0.0; self.weights.len()], vec![0.0_f64; self.weights.len()]);
        for (loss, &group) in losses.iter().zip(groups) {
            let place = self.place(group)?;
            (sums[place], counts[place]) = (sums[place] + loss, counts[place] + 1.0);
        }
        let means = sums.iter().zip(&counts).map(|(s, n)| s / n.max(1.0));
        // Logs, so that no large loss overflows.
        let logs: Vec<f64> = self.weights.iter().zip(means).map(|(w, mean)| w.ln() + self.step * mean).collect();
        let top = logs.iter().fold(f64::NEG_INFINITY, |m, l| m.max(*l));
        let total: f64 = logs.iter().map(|l| (l - top).exp()).sum();
        self.weights = logs.iter().map(|l| (l - top).exp() / total).collect();
        Ok(())
    }

    fn place(&self, group: usize) -> Result<usize, ObjectiveError> {
        let groups = self.weights.len();
        let missing = || problem(format!("end at {}; there is no group {group}", groups - 1));
        if group < groups { Ok(group) } else { Err(missing()) }
    }
}

fn problem(problem: String) -> ObjectiveError {
    ObjectiveError::Option { method: GroupRobust::NAME, key: "groups", problem }
}
