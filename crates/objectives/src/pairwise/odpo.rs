//! ODPO: DPO with an offset for how much better the chosen completion is.

use dfdx::prelude::*;
use tropism_core::{CoreError, LossTerms, PairLogps};

use crate::link::logistic;
use crate::method::on_pairs_with;
use crate::options::{not_negative, options, positive};
use crate::pairwise::{Scored, Scoring};
use crate::{Column, Domain, ObjectiveError};

options! {
    /// Options of [`odpo()`].
    Odpo = "odpo", "A Survey of Direct Preference Optimization, arXiv 2503.11701" {
        /// Weight of the implicit KL penalty, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
        /// Weight `α ≥ 0` of the gap; 1.0 by default.
        alpha: f64 = 1.0, with_alpha, not_negative;
    }
}

/// How much better the chosen completion is.
const COLUMN: Column = Column::row("score_gap", Domain::NotNegative);

on_pairs_with!(Odpo, odpo, COLUMN);

/// The ODPO loss of `P` pairs: the margin has to exceed the gap of the scores.
///
/// With log-ratios `h` in nats, the gap `g ≥ 0` of a pair (column `score_gap`, in units of the score), `z = β (h_w − h_l)`:
///
/// ```text
/// losses = −log σ(z − α g)      weights = 1
/// ∂losses/∂lp_w = −β σ(α g − z) = −∂losses/∂lp_l
/// ```
///
/// `α = 0` or gaps of 0 are [`dpo()`](crate::dpo()). The paper's offset is `α f(gap)`, with `f` also a logarithm: put the
/// transformed gap in the column. The reported margins are without the offset.
///
/// Source: Amini et al. 2024, arXiv 2402.10571.
///
/// # Errors
/// As [`dpo()`](crate::dpo()). [`ObjectiveError::Column`] for a negative gap, [`ObjectiveError::Core`] unless there is one
/// per pair.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{Odpo, odpo};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-40.0_f64]), dev.tensor([-55.0]), &[20], &[25])?;
/// let reference = PairLogps::new(dev.tensor([-42.0_f64]), dev.tensor([-50.0]), &[20], &[25])?;
/// let terms = odpo(policy, reference, &[0.3], &Odpo::default())?;
/// assert!((terms.values()[0] - 0.513015).abs() < 1e-6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn odpo<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: impl Into<Option<PairLogps<P, E, D>>>,
    gaps: &[f64],
    config: &Odpo,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    CoreError::check_size(COLUMN.name, policy.rows(), gaps.len())?;
    COLUMN.check(Odpo::NAME, gaps)?;
    let scored = Scored::new(Odpo::NAME, policy, reference.into(), &Scoring::RATIOS, config.beta)?;
    scored.by_pair(|row, a, c| {
        let (value, slope) = logistic(config.beta * (a - c) - config.alpha * gaps[row]);
        [value, config.beta * slope, -config.beta * slope]
    })
}
