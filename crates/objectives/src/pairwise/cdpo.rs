//! DPO with smoothed labels (conservative DPO).

use dfdx::prelude::*;
use tropism_core::{LossTerms, PairLogps};

use crate::ObjectiveError;
use crate::link::smoothed;
use crate::method::on_pairs;
use crate::options::{any, flip_rate, options, positive};
use crate::pairwise::{Divergence, Reference, Scored, Scoring};

options! {
    /// Options of [`cdpo()`].
    Cdpo = "cdpo", "Direct Preference Optimization and its standard loss variants, arXiv 2305.18290 (label smoothing)" {
        /// Weight of the implicit KL penalty, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
        /// Assumed share of swapped labels, `0 ≤ ε < 0.5`; 0.1 by default.
        label_smoothing: f64 = 0.1, with_label_smoothing, flip_rate;
        /// A reference model (`"model"`, the default) or none (`"uniform"`).
        reference: Reference = Reference::Model, with_reference, any;
        /// Divergence from the reference; reverse KL by default.
        divergence: Divergence = Divergence::ReverseKl, with_divergence, Divergence::check;
    }
}

on_pairs!(Cdpo, cdpo, |c| c.reference == Reference::Model);

/// The conservative DPO loss: cross-entropy against labels of which a share `ε` is assumed to be swapped.
///
/// With `z = β (s_w − s_l)` as in [`dpo()`](crate::dpo()):
///
/// ```text
/// losses = −(1−ε) log σ(z) − ε log σ(−z)     weights = 1
/// ∂losses/∂z = σ(z) − (1−ε)
/// ```
///
/// The loss has its minimum at `z = log((1−ε)/ε)`, so margins stay bounded; the implied reward shrinks. At `ε = 0` it is DPO.
/// [`robust()`](crate::robust()) corrects for swapped labels without a bias instead.
///
/// Source: Mitchell 2023, "A note on DPO with noisy preferences"; the authors' code of DPO and TRL before 1.0 call it
/// `label_smoothing` of the loss type `sigmoid`, which TRL 1.10 ignores there.
///
/// # Errors
/// As [`dpo()`](crate::dpo()).
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{Cdpo, cdpo};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-10.0_f64]), dev.tensor([-12.0]), &[5], &[8])?;
/// let reference = PairLogps::new(dev.tensor([-11.0_f64]), dev.tensor([-11.5]), &[5], &[8])?;
/// let terms = cdpo(policy, reference, &Cdpo::default())?;
/// assert!((terms.values()[0] - 0.63595705).abs() < 1e-8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn cdpo<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: impl Into<Option<PairLogps<P, E, D>>>,
    config: &Cdpo,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let scoring = Scoring { reference: config.reference, ..Scoring::under(config.divergence) };
    let scored = Scored::new(Cdpo::NAME, policy, reference.into(), &scoring, config.beta)?;
    scored.by_margin(config.beta, |z| smoothed(z, config.label_smoothing))
}
