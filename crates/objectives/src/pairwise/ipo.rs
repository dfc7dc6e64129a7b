//! Identity preference optimisation: squared distance of the log-ratio margin from a fixed target.

use dfdx::prelude::*;
use tropism_core::{LossTerms, PairLogps};

use crate::ObjectiveError;
use crate::link::squared;
use crate::method::on_pairs;
use crate::options::{any, options, positive};
use crate::pairwise::{Divergence, Normalization, Reference, Scored, Scoring};

options! {
    /// Options of [`ipo()`].
    Ipo = "ipo", "IPO, arXiv 2310.12036" {
        /// Regularisation (the paper's τ): the margin is pulled towards `1/(2β)`, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
        /// Score per token (`"mean"`, the default) or per completion (`"sum"`). A `beta` for one does not suit the other.
        normalization: Normalization = Normalization::Mean, with_normalization, any;
        /// A reference model (`"model"`, the default) or none (`"uniform"`).
        reference: Reference = Reference::Model, with_reference, any;
        /// Divergence from the reference; reverse KL by default.
        divergence: Divergence = Divergence::ReverseKl, with_divergence, Divergence::check;
    }
}

on_pairs!(Ipo, ipo, |c| c.reference == Reference::Model);

/// The IPO loss of `P` pairs.
///
/// With scores `s` of log-ratios as in [`dpo()`](crate::dpo()) and lengths `n` in tokens (0 counts as 1; `n = 1` for `"sum"`):
///
/// ```text
/// Δ = s_w/n_w − s_l/n_l
/// losses = (Δ − 1/(2β))²     weights = 1
/// ∂losses/∂lp_w = +2 (Δ − 1/(2β)) s'(h_w) / n_w      ∂losses/∂lp_l = −2 (Δ − 1/(2β)) s'(h_l) / n_l
/// ```
///
/// Unlike a logistic loss it has a minimum at a finite margin, so it also stops on preferences without noise.
///
/// Source: Azar et al. 2023, arXiv 2310.12036, equation 17, which sums (τ there is `beta`). TRL averages over tokens, after
/// correspondence with the authors, while the DPO authors' code and others sum: hence the option. Rewards are
/// `β h`, not divided by the length in either case, as TRL logs them; without a reference they are `β lp/n` for `"mean"`, as
/// TRL's CPO logs them.
///
/// # Errors
/// As [`dpo()`](crate::dpo()).
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{Ipo, ipo};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-10.0_f64]), dev.tensor([-12.0]), &[5], &[8])?;
/// let reference = PairLogps::new(dev.tensor([-11.0_f64]), dev.tensor([-11.5]), &[5], &[8])?;
/// let terms = ipo(policy, reference, &Ipo::default())?;
/// assert!((terms.values()[0] - 22.44390625).abs() < 1e-8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn ipo<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: impl Into<Option<PairLogps<P, E, D>>>,
    config: &Ipo,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let scoring =
        Scoring { reference: config.reference, divergence: config.divergence, normalization: config.normalization };
    let scored = Scored::new(Ipo::NAME, policy, reference.into(), &scoring, config.beta)?;
    scored.by_margin(1.0, |margin| squared(margin, 0.5 / config.beta))
}
