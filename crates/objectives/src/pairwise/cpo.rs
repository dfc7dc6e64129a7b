//! Contrastive preference optimisation: DPO without a reference, beside the likelihood of the chosen completion.

use dfdx::prelude::*;
use tropism_core::{LossTerms, PairLogps};

use crate::ObjectiveError;
use crate::link::smoothed;
use crate::method::free_pairs;
use crate::options::{any, flip_rate, not_negative, options, positive};
use crate::pairwise::{Averaging, ChosenNll, Reference, Scored, Scoring, chosen_nll};

options! {
    /// Options of [`cpo()`].
    Cpo = "cpo", "CPO, arXiv 2401.08417" {
        /// Scale of the margin, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
        /// Assumed share of swapped labels, `0 ≤ ε < 0.5`; 0 by default.
        label_smoothing: f64 = 0.0, with_label_smoothing, flip_rate;
        /// Weight `α ≥ 0` of the likelihood term; 1 by default. TRL calls it `cpo_alpha`.
        nll_weight: f64 = 1.0, with_nll_weight, not_negative;
        /// What the likelihood term is averaged over; `"tokens"` by default.
        averaging: Averaging = Averaging::Tokens, with_averaging, any;
    }
}

free_pairs!(Cpo, cpo);

/// The CPO loss of `P` pairs; reads the policy alone.
///
/// With `z = β (lp_w − lp_l)`:
///
/// ```text
/// first part     losses = −(1−ε) log σ(z) − ε log σ(−z)     weights = 1
/// second part    α times chosen_nll
/// ```
///
/// The parts have denominators of their own; see [`LossTerms::with`]. Rewards are `β lp`.
///
/// Source: Xu et al. 2024, arXiv 2401.08417; TRL's CPO trainer with loss type `sigmoid`. Its types `hinge` and `ipo` are the
/// sum of [`hinge()`](crate::hinge()) or [`ipo()`](crate::ipo()) without a reference and
/// [`chosen_nll()`](crate::chosen_nll()).
///
/// # Errors
/// [`ObjectiveError::Config`]; [`ObjectiveError::Core`] for a loss that is not finite.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{Cpo, cpo};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-10.0_f64]), dev.tensor([-12.0]), &[5], &[8])?;
/// let terms = cpo(policy, &Cpo::default())?;
/// assert!((terms.values()[0] - 0.59813887).abs() < 1e-8);
/// assert!((terms.mean()?.array() - 2.59813887).abs() < 1e-8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn cpo<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    config: &Cpo,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let likelihood = ChosenNll::default().with_averaging(config.averaging);
    let likelihood = chosen_nll(policy.fork(), &likelihood)?.times(config.nll_weight)?;
    let scoring = Scoring { reference: Reference::Uniform, ..Scoring::RATIOS };
    let scored = Scored::new(Cpo::NAME, policy, None, &scoring, config.beta)?;
    let terms = scored.by_margin(config.beta, |z| smoothed(z, config.label_smoothing))?;
    Ok(terms.with(likelihood)?)
}
