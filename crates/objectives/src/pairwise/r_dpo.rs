//! R-DPO: DPO whose reward counts length against a completion.

use dfdx::prelude::*;
use tropism_core::{LossTerms, PairLogps};

use crate::ObjectiveError;
use crate::diagnostics::PairFigures;
use crate::link::logistic;
use crate::method::on_pairs;
use crate::options::{finite, options, positive};
use crate::pairwise::{Scored, Scoring};

options! {
    /// Options of [`r_dpo()`].
    RDpo = "r_dpo", "A Survey of Direct Preference Optimization, arXiv 2503.11701" {
        /// Weight of the implicit KL penalty, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
        /// Price `α` of a token, in units of reward; 0.01 by default, a positive one favours short completions.
        alpha: f64 = 0.01, with_alpha, finite;
    }
}

on_pairs!(RDpo, r_dpo, |_c| true);

/// The R-DPO loss of `P` pairs: DPO with a price for length.
///
/// With log-ratios `h` in nats and lengths `n` in tokens:
///
/// ```text
/// z = β (h_w − h_l) + α (n_w − n_l)      losses = −log σ(z)      weights = 1
/// ∂losses/∂lp_w = −β σ(−z) = −∂losses/∂lp_l
/// ```
///
/// The optimum of reward minus `α n` under the KL penalty has the reward `β h + α n`, which gives the sign: with `α > 0` a
/// longer chosen completion already explains a part of the preference, and the policy has less to learn from it. `α = 0` or
/// equal lengths are [`dpo()`](crate::dpo()). Lengths have no gradient; the reported rewards are without the price.
///
/// Source: Park et al. 2024, arXiv 2403.19159.
///
/// # Errors
/// As [`dpo()`](crate::dpo()).
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{RDpo, r_dpo};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-40.0_f64]), dev.tensor([-55.0]), &[20], &[25])?;
/// let reference = PairLogps::new(dev.tensor([-42.0_f64]), dev.tensor([-50.0]), &[20], &[25])?;
/// let terms = r_dpo(policy, reference, &RDpo::default())?;
/// assert!((terms.values()[0] - 0.420055).abs() < 1e-6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn r_dpo<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: impl Into<Option<PairLogps<P, E, D>>>,
    config: &RDpo,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let figures = PairFigures::of(&policy);
    let longer = |row: usize| figures.lengths[0][row] - figures.lengths[1][row];
    let scored = Scored::new(RDpo::NAME, policy, reference.into(), &Scoring::RATIOS, config.beta)?;
    scored.by_pair(|row, a, c| {
        let (value, slope) = logistic(config.beta * (a - c) + config.alpha * longer(row));
        [value, config.beta * slope, -config.beta * slope]
    })
}
