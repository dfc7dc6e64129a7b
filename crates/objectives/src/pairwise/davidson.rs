//! DPO with ties after Davidson.

use dfdx::prelude::*;
use tropism_core::{CoreError, LossTerms, PairLogps};

use crate::method::on_pairs_with;
use crate::options::{options, positive};
use crate::pairwise::{Scored, Scoring};
use crate::{Column, Domain, ObjectiveError};

options! {
    /// Options of [`davidson()`].
    Davidson = "davidson", "A Survey of Direct Preference Optimization, arXiv 2503.11701" {
        /// Weight of the implicit KL penalty, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
        /// How common ties are, `ν > 0`; 0.5 by default.
        nu: f64 = 0.5, with_nu, positive;
    }
}

/// 1 where the judges saw a tie.
const COLUMN: Column = Column::row("tie", Domain::Flag);

on_pairs_with!(Davidson, davidson, COLUMN);

/// The DPO loss of pairs and ties under Davidson's model of ties.
///
/// With log-ratios `h` in nats, `z = β (h_w − h_l)`, and `W = 1 / (1 + e^{−z} + 2ν e^{−z/2})`:
///
/// ```text
/// win   losses = −log W                       weights = 1
/// tie   losses = −log W + z/2 − log 2ν
/// ∂win/∂z = −W (e^{−z} + ν e^{−z/2})      ∂tie/∂z = ∂win/∂z + ½      ∂z/∂lp_w = β = −∂z/∂lp_l
/// ```
///
/// The probabilities of win, tie and loss add up to 1; as `ν → 0` ties vanish and wins are
/// [`dpo()`](crate::dpo()).
///
/// A row is a win where the column `tie` is 0 and a tie where it is 1; a tie does not know which side is
/// called chosen.
///
/// Source: Davidson 1970; Chen et al. 2024, arXiv 2409.17431 (DPO-D).
///
/// # Errors
/// As [`dpo()`](crate::dpo()).
/// [`ObjectiveError::Column`] for an entry that is neither 0 nor 1, [`ObjectiveError::Core`] unless there is one per pair.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{Davidson, davidson};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-40.0_f64]), dev.tensor([-55.0]), &[20], &[25])?;
/// let reference = PairLogps::new(dev.tensor([-42.0_f64]), dev.tensor([-50.0]), &[20], &[25])?;
/// let terms = davidson(policy, reference, &[0.0], &Davidson::default())?;
/// assert!((terms.values()[0] - 0.789034).abs() < 1e-5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn davidson<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: impl Into<Option<PairLogps<P, E, D>>>,
    ties: &[f64],
    config: &Davidson,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    CoreError::check_size(COLUMN.name, policy.rows(), ties.len())?;
    COLUMN.check(Davidson::NAME, ties)?;
    let (beta, nu) = (config.beta, config.nu);
    let scored = Scored::new(Davidson::NAME, policy, reference.into(), &Scoring::RATIOS, beta)?;
    scored.by_pair(|row, a, c| {
        let z = beta * (a - c);
        let win = win(z, nu);
        let (value, slope) = match ties[row] {
            0.0 => win,
            _ => (win.0 + 0.5 * z - (2.0 * nu).ln(), win.1 + 0.5),
        };
        [value, beta * slope, -beta * slope]
    })
}

/// `−log W` and its slope.
fn win(z: f64, nu: f64) -> (f64, f64) {
    let terms = [0.0, -z, (2.0 * nu).ln() - 0.5 * z];
    let top = terms.iter().fold(f64::NEG_INFINITY, |m, t| m.max(*t));
    let value = top + terms.iter().map(|t| (t - top).exp()).sum::<f64>().ln();
    (value, -(terms[1] - value).exp() - 0.5 * (terms[2] - value).exp())
}
