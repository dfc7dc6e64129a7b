//! NS-DPO: old preferences count for less.

use dfdx::prelude::*;
use tropism_core::{Columns, CoreError, LossTerms, PairLogps};

use crate::options::{options, pair_method, share};
use crate::pairwise::weighted::{weighted, weights_rows};
use crate::{Column, Domain, Dpo, Objective, ObjectiveError};

options! {
    /// Options of [`ns_dpo()`].
    NsDpo = "ns_dpo", "A Survey of Direct Preference Optimization, arXiv 2503.11701" {
        /// Discount `0 ≤ γ ≤ 1` per unit of age; 0.95 by default, 1 for none.
        discount: f64 = 0.95, with_discount, share;
        /// The loss that is weighted, a method on pairs; DPO by default.
        base: Box<Objective> = Box::new(Dpo::default().into()), with_base, |m, k, b: &Objective| pair_method(m, k, b);
    }
}

/// How long ago the pair was judged, in units of choice.
const COLUMN: Column = Column::row("age", Domain::NotNegative);

weights_rows!(NsDpo, COLUMN);

impl NsDpo {
    /// `γ^age`.
    fn weights(&self, ages: &[f64]) -> Vec<f64> {
        ages.iter().map(|&age| self.discount.powf(age)).collect()
    }
}

/// A loss of pairs discounted by the age of their judgements (non-stationary DPO).
///
/// With the age `t ≥ 0` of a pair (column `age`, in the unit of time for which `γ` is meant):
///
/// ```text
/// losses = γ^t · base      weights as base says
/// ```
///
/// The denominator is that of `base`, as in the paper, so a data set of old judgements has a small loss altogether. `γ = 1`
/// or ages of 0 are `base`. Reports `weights`.
///
/// Source: Son et al. 2024, arXiv 2407.18676.
///
/// # Errors
/// [`ObjectiveError::Column`] for an entry that is not allowed, [`ObjectiveError::Core`] unless there is one per pair,
/// [`ObjectiveError::Option`], and those of `base`.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{NsDpo, ns_dpo};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-10.0_f64]), dev.tensor([-12.0]), &[5], &[8])?;
/// let reference = PairLogps::new(dev.tensor([-11.0_f64]), dev.tensor([-11.5]), &[5], &[8])?;
/// let terms = ns_dpo(policy, reference, &[2.0], &NsDpo::default())?;
/// assert!((terms.values()[0] - 0.9025 * 0.62095705).abs() < 1e-7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn ns_dpo<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: impl Into<Option<PairLogps<P, E, D>>>,
    ages: &[f64],
    config: &NsDpo,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    CoreError::check_size(COLUMN.name, policy.rows(), ages.len())?;
    COLUMN.check(NsDpo::NAME, ages)?;
    weighted(policy, reference.into(), &Columns::default(), &config.base, config.weights(ages))
}
