//! DPO with soft labels by geometric averaging.

use dfdx::prelude::*;
use tropism_core::{CoreError, LossTerms, PairLogps};

use crate::link::logistic;
use crate::method::on_pairs_with;
use crate::options::{options, positive};
use crate::pairwise::{Scored, Scoring};
use crate::{Column, Domain, ObjectiveError};

options! {
    /// Options of [`soft_dpo()`].
    SoftDpo = "soft_dpo", "A Survey of Direct Preference Optimization, arXiv 2503.11701" {
        /// Weight of the implicit KL penalty, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
    }
}

/// Share of judges that prefer the chosen completion.
const COLUMN: Column = Column::row("chosen_share", Domain::Share);

on_pairs_with!(SoftDpo, soft_dpo, COLUMN);

/// DPO with soft labels: the two completions of a pair are averaged geometrically by the label (GDPO).
///
/// With log-ratios `h` in nats and the share `p` of judges that prefer the chosen completion (column `chosen_share`, from 0
/// to 1):
///
/// ```text
/// z = β (2p − 1) (h_w − h_l)      losses = −log σ(z)      weights = 1
/// ∂losses/∂lp_w = −β (2p − 1) σ(−z) = −∂losses/∂lp_l
/// ```
///
/// Pairs on which the judges are split have no gradient; at `p = 1` it is [`dpo()`](crate::dpo()), at `p = 0` the pair is
/// turned round. [`cdpo()`](crate::cdpo()) averages the losses in place of the completions and pulls the margin to a finite
/// value. The reported rewards are those of DPO.
///
/// Source: Furuta et al. 2024, arXiv 2409.06691 (GDPO; other methods bear that name too).
///
/// # Errors
/// As [`dpo()`](crate::dpo()). [`ObjectiveError::Column`] for a share outside 0 to 1, [`ObjectiveError::Core`] unless there
/// is one per pair.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{SoftDpo, soft_dpo};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-40.0_f64]), dev.tensor([-55.0]), &[20], &[25])?;
/// let reference = PairLogps::new(dev.tensor([-42.0_f64]), dev.tensor([-50.0]), &[20], &[25])?;
/// let terms = soft_dpo(policy, reference, &[0.75], &SoftDpo::default())?;
/// assert!((terms.values()[0] - (1.0 + (-0.35_f64).exp()).ln()).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn soft_dpo<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: impl Into<Option<PairLogps<P, E, D>>>,
    shares: &[f64],
    config: &SoftDpo,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    CoreError::check_size(COLUMN.name, policy.rows(), shares.len())?;
    COLUMN.check(SoftDpo::NAME, shares)?;
    let scored = Scored::new(SoftDpo::NAME, policy, reference.into(), &Scoring::RATIOS, config.beta)?;
    scored.by_pair(|row, a, c| {
        let beta = config.beta * (2.0 * shares[row] - 1.0);
        let (value, slope) = logistic(beta * (a - c));
        [value, beta * slope, -beta * slope]
    })
}
