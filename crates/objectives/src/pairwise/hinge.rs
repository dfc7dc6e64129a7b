//! Hinge loss on log-ratios (SLiC).

use dfdx::prelude::*;
use tropism_core::{LossTerms, PairLogps};

use crate::ObjectiveError;
use crate::link;
use crate::method::on_pairs;
use crate::options::{any, options, positive};
use crate::pairwise::{Divergence, Reference, Scored, Scoring};

options! {
    /// Options of [`hinge()`].
    Hinge = "hinge", "RSO, arXiv 2309.06657" {
        /// Inverse of the margin in nats, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
        /// A reference model (`"model"`, the default) or none (`"uniform"`).
        reference: Reference = Reference::Model, with_reference, any;
        /// Divergence from the reference; reverse KL by default.
        divergence: Divergence = Divergence::ReverseKl, with_divergence, Divergence::check;
    }
}

on_pairs!(Hinge, hinge, |c| c.reference == Reference::Model);

/// The hinge loss of the margin.
///
/// With `z = β (s_w − s_l)` as in [`dpo()`](crate::dpo()):
///
/// ```text
/// losses = max(0, 1 − z)     weights = 1
/// ∂losses/∂z = −1 where z < 1, else 0
/// ```
///
/// A pair is satisfied at a margin of `1/β` nats. With `reference = "uniform"` it compares log-probabilities, as CPO's
/// `hinge` does; SLiC-HF's own loss `max(0, m − lp_w + lp_l)` is that times `m = 1/β`, beside a likelihood term
/// ([`chosen_nll()`](crate::chosen_nll())).
///
/// Source: Zhao et al. 2023, arXiv 2305.10425; Liu et al. 2023, arXiv 2309.06657; TRL's loss type `hinge`.
///
/// # Errors
/// As [`dpo()`](crate::dpo()).
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{Hinge, hinge};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-10.0_f64]), dev.tensor([-12.0]), &[5], &[8])?;
/// let reference = PairLogps::new(dev.tensor([-11.0_f64]), dev.tensor([-11.5]), &[5], &[8])?;
/// let terms = hinge(policy, reference, &Hinge::default())?;
/// assert!((terms.values()[0] - 0.85).abs() < 1e-8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn hinge<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: impl Into<Option<PairLogps<P, E, D>>>,
    config: &Hinge,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let scoring = Scoring { reference: config.reference, ..Scoring::under(config.divergence) };
    Scored::new(Hinge::NAME, policy, reference.into(), &scoring, config.beta)?.by_margin(config.beta, link::hinge)
}
