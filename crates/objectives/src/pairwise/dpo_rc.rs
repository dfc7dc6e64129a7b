//! Reward difference optimisation: pairs count by how much better the chosen completion is.

use dfdx::prelude::*;
use tropism_core::{Columns, CoreError, LossTerms, PairLogps};

use crate::options::{options, pair_method};
use crate::pairwise::weighted::{weighted, weights_rows};
use crate::{Column, Domain, Dpo, Objective, ObjectiveError};

options! {
    /// Options of [`dpo_rc()`].
    DpoRc = "dpo_rc", "A Survey of Direct Preference Optimization, arXiv 2503.11701" {
        /// The loss that is weighted, a method on pairs; DPO by default.
        base: Box<Objective> = Box::new(Dpo::default().into()), with_base, |m, k, b: &Objective| pair_method(m, k, b);
    }
}

/// How much better the chosen completion is.
const COLUMN: Column = Column::row("reward_gap", Domain::NotNegative);

weights_rows!(DpoRc, COLUMN);

impl DpoRc {
    /// The gaps as they are.
    fn weights(&self, gaps: &[f64]) -> Vec<f64> {
        gaps.to_vec()
    }
}

/// A loss of pairs times the gap of the completions' rewards.
///
/// With the gap `g ≥ 0` of a pair (column `reward_gap`, in units of the reward model):
///
/// ```text
/// losses = g · base      weights as base says      no gradient in g
/// ```
///
/// A constant factor of all gaps is a factor of the learning rate: bring them to a mean of 1 to compare with `base`. Reports
/// `weights`.
///
/// Source: Wang et al. 2024, arXiv 2408.09385.
///
/// # Errors
/// [`ObjectiveError::Column`] for an entry that is not allowed, [`ObjectiveError::Core`] unless there is one per pair,
/// [`ObjectiveError::Option`], and those of `base`.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{DpoRc, dpo_rc};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-10.0_f64]), dev.tensor([-12.0]), &[5], &[8])?;
/// let reference = PairLogps::new(dev.tensor([-11.0_f64]), dev.tensor([-11.5]), &[5], &[8])?;
/// let terms = dpo_rc(policy, reference, &[2.0], &DpoRc::default())?;
/// assert!((terms.values()[0] - 2.0 * 0.62095705).abs() < 1e-7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn dpo_rc<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: impl Into<Option<PairLogps<P, E, D>>>,
    gaps: &[f64],
    config: &DpoRc,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    CoreError::check_size(COLUMN.name, policy.rows(), gaps.len())?;
    COLUMN.check(DpoRc::NAME, gaps)?;
    weighted(policy, reference.into(), &Columns::default(), &config.base, config.weights(gaps))
}
