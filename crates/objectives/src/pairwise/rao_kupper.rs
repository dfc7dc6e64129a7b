//! DPO with ties after Rao and Kupper.

use dfdx::prelude::*;
use tropism_core::{CoreError, LossTerms, PairLogps};

use crate::link::logistic;
use crate::method::on_pairs_with;
use crate::options::{options, positive};
use crate::pairwise::{Scored, Scoring};
use crate::{Column, Domain, ObjectiveError};

options! {
    /// Options of [`rao_kupper()`].
    RaoKupper = "rao_kupper", "A Survey of Direct Preference Optimization, arXiv 2503.11701" {
        /// Weight of the implicit KL penalty, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
        /// How common ties are, `ν > 0`; 0.5 by default.
        nu: f64 = 0.5, with_nu, positive;
    }
}

/// 1 where the judges saw a tie.
const COLUMN: Column = Column::row("tie", Domain::Flag);

on_pairs_with!(RaoKupper, rao_kupper, COLUMN);

/// The DPO loss of pairs and ties under Rao and Kupper's model of ties.
///
/// With log-ratios `h` in nats and `z = β (h_w − h_l)`:
///
/// ```text
/// win   losses = −log σ(z − ν)                                             weights = 1
/// tie   losses = −log σ(z − ν) − log σ(−z − ν) − log(e^{2ν} − 1)
/// ∂win/∂z = −σ(ν − z)      ∂tie/∂z = σ(z + ν) − σ(ν − z)      ∂z/∂lp_w = β = −∂z/∂lp_l
/// ```
///
/// The probabilities of win, tie and loss add up to 1; as `ν → 0` ties vanish and wins are
/// [`dpo()`](crate::dpo()).
///
/// A row is a win where the column `tie` is 0 and a tie where it is 1; a tie does not know which side is
/// called chosen.
///
/// Source: Rao and Kupper 1967; Chen et al. 2024, arXiv 2409.17431 (DPO-RK).
///
/// # Errors
/// As [`dpo()`](crate::dpo()).
/// [`ObjectiveError::Column`] for an entry that is neither 0 nor 1, [`ObjectiveError::Core`] unless there is one per pair.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{RaoKupper, rao_kupper};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-40.0_f64]), dev.tensor([-55.0]), &[20], &[25])?;
/// let reference = PairLogps::new(dev.tensor([-42.0_f64]), dev.tensor([-50.0]), &[20], &[25])?;
/// let terms = rao_kupper(policy, reference, &[0.0], &RaoKupper::default())?;
/// assert!((terms.values()[0] - 0.598139).abs() < 1e-5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn rao_kupper<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: impl Into<Option<PairLogps<P, E, D>>>,
    ties: &[f64],
    config: &RaoKupper,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    CoreError::check_size(COLUMN.name, policy.rows(), ties.len())?;
    COLUMN.check(RaoKupper::NAME, ties)?;
    let (beta, nu) = (config.beta, config.nu);
    let scored = Scored::new(RaoKupper::NAME, policy, reference.into(), &Scoring::RATIOS, beta)?;
    scored.by_pair(|row, a, c| {
        let z = beta * (a - c);
        let (win, loss) = (logistic(z - nu), logistic(-z - nu));
        let (value, slope) = match ties[row] {
            0.0 => win,
            _ => (win.0 + loss.0 - (2.0 * nu).exp_m1().ln(), win.1 - loss.1),
        };
        [value, beta * slope, -beta * slope]
    })
}
