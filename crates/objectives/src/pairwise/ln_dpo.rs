//! DPO on log-ratios per token (length-normalised DPO).

use dfdx::prelude::*;
use tropism_core::{LossTerms, PairLogps};

use crate::ObjectiveError;
use crate::link::logistic;
use crate::method::on_pairs;
use crate::options::{options, positive};
use crate::pairwise::{Divergence, Normalization, Scored, Scoring};

options! {
    /// Options of [`ln_dpo()`].
    LnDpo = "ln_dpo", "The Hitchhiker's Guide to Human Alignment with *PO, arXiv 2407.15229" {
        /// Scale of the reward, much larger than DPO's, for the scores are means over tokens, `β > 0`; 2.0 by default.
        beta: f64 = 2.0, with_beta, positive;
        /// Divergence from the reference; reverse KL by default.
        divergence: Divergence = Divergence::ReverseKl, with_divergence, Divergence::check;
    }
}

on_pairs!(LnDpo, ln_dpo, |_c| true);

/// The length-normalised DPO loss.
///
/// With scores `s` of log-ratios as in [`dpo()`](crate::dpo()) and lengths `n` in tokens (0 counts as 1):
///
/// ```text
/// z = β (s_w/n_w − s_l/n_l)
/// losses = −log σ(z)     weights = 1
/// ∂losses/∂lp_w = −β σ(−z) s'(h_w) / n_w      ∂losses/∂lp_l = +β σ(−z) s'(h_l) / n_l
/// ```
///
/// All tokens of a completion together weigh `β σ(−z)`, whatever its length; in DPO each of them does. With equal lengths `n`
/// it is DPO at `β/n`. Rewards are `β h`, as TRL logs them.
///
/// Source: arXiv 2407.15229; TRL's loss type `sigmoid_norm`, whose inherited `beta` of 0.1 is too small for it.
///
/// # Errors
/// As [`dpo()`](crate::dpo()).
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{LnDpo, ln_dpo};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-4.2_f64]), dev.tensor([-2.3]), &[4], &[2])?;
/// let reference = PairLogps::new(dev.tensor([-4.6_f64]), dev.tensor([-2.0]), &[4], &[2])?;
/// let terms = ln_dpo(policy, reference, &LnDpo::default())?;
/// assert!((terms.values()[0] - 0.47407698).abs() < 1e-8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn ln_dpo<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: impl Into<Option<PairLogps<P, E, D>>>,
    config: &LnDpo,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let scoring = Scoring { normalization: Normalization::Mean, ..Scoring::under(config.divergence) };
    let scored = Scored::new(LnDpo::NAME, policy, reference.into(), &scoring, config.beta)?;
    scored.by_margin(config.beta, logistic)
}
