//! e-DPO: the margin of a reward model is distilled into the margin of the policy.

use dfdx::prelude::*;
use tropism_core::{CoreError, LossTerms, PairLogps};

use crate::link::squared;
use crate::method::on_pairs_with;
use crate::options::{options, positive};
use crate::pairwise::{Scored, Scoring};
use crate::{Column, Domain, ObjectiveError};

options! {
    /// Options of [`e_dpo()`].
    EDpo = "e_dpo", "A Survey of Direct Preference Optimization, arXiv 2503.11701" {
        /// Weight of the implicit KL penalty, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
    }
}

/// Reward of the chosen less that of the rejected completion.
const COLUMN: Column = Column::row("reward_margin", Domain::Any);

on_pairs_with!(EDpo, e_dpo, COLUMN);

/// The squared error of `P` implicit margins against those of a reward model.
///
/// With log-ratios `h` in nats and the margin `g` of the rewards (column `reward_margin`, in units of reward):
///
/// ```text
/// z = β (h_w − h_l)     losses = (z − g)²     weights = 1
/// ∂losses/∂lp_w = 2β (z − g) = −∂losses/∂lp_l
/// ```
///
/// The minimum is finite even where all judges agree, unlike DPO's. Which completion is called chosen does not matter. The
/// squared error to several reward models has the gradient of that to their mean, so give the mean margin of an ensemble. The
/// pessimistic form, which keeps to the nearest member of the ensemble, is not offered: the source has no formula for it.
///
/// Source: class "distribution" of A Survey of Direct Preference Optimization, arXiv 2503.11701, which names the method (distil
/// reward-model margins).
///
/// # Errors
/// As [`dpo()`](crate::dpo()); [`ObjectiveError::Core`] unless there is one margin per pair.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{EDpo, e_dpo};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-40.0_f64]), dev.tensor([-55.0]), &[20], &[25])?;
/// let reference = PairLogps::new(dev.tensor([-42.0_f64]), dev.tensor([-50.0]), &[20], &[25])?;
/// let terms = e_dpo(policy, reference, &[1.2], &EDpo::default())?;
/// assert!((terms.values()[0] - 0.25).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn e_dpo<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: impl Into<Option<PairLogps<P, E, D>>>,
    margins: &[f64],
    config: &EDpo,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    CoreError::check_size(COLUMN.name, policy.rows(), margins.len())?;
    COLUMN.check(EDpo::NAME, margins)?;
    let scored = Scored::new(EDpo::NAME, policy, reference.into(), &Scoring::RATIOS, config.beta)?;
    scored.by_pair(|row, a, c| {
        let (value, slope) = squared(config.beta * (a - c), margins[row]);
        [value, config.beta * slope, -config.beta * slope]
    })
}
