//! DPO corrected for swapped labels (robust DPO).

use dfdx::prelude::*;
use tropism_core::{LossTerms, PairLogps};

use crate::ObjectiveError;
use crate::link::logistic;
use crate::method::on_pairs;
use crate::options::{flip_rate, options, positive};
use crate::pairwise::{Divergence, Scored, Scoring};

options! {
    /// Options of [`robust()`].
    Robust = "robust", "robust DPO, arXiv 2403.00409" {
        /// Weight of the implicit KL penalty, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
        /// Assumed share of swapped labels, `0 ≤ ε < 0.5`; 0.1 by default.
        label_smoothing: f64 = 0.1, with_label_smoothing, flip_rate;
        /// Divergence from the reference; reverse KL by default.
        divergence: Divergence = Divergence::ReverseKl, with_divergence, Divergence::check;
    }
}

on_pairs!(Robust, robust, |_c| true);

/// The robust DPO loss: an unbiased estimate of the DPO loss on clean labels when a share `ε` of them is swapped.
///
/// With `z = β (s_w − s_l)` as in [`dpo()`](crate::dpo()):
///
/// ```text
/// losses = [−(1−ε) log σ(z) + ε log σ(−z)] / (1−2ε)     weights = 1
/// ∂losses/∂z = −[(1−ε) σ(−z) + ε σ(z)] / (1−2ε)
/// ```
///
/// `(1−ε) robust(z) + ε robust(−z)` is the DPO loss. Unlike [`cdpo()`](crate::cdpo()) it is unbounded below: with fewer
/// swapped labels than `ε` margins grow without end.
///
/// Source: Chowdhury et al. 2024, arXiv 2403.00409; TRL's loss type `robust`.
///
/// # Errors
/// As [`dpo()`](crate::dpo()).
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{Robust, robust};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-10.0_f64]), dev.tensor([-12.0]), &[5], &[8])?;
/// let reference = PairLogps::new(dev.tensor([-11.0_f64]), dev.tensor([-11.5]), &[5], &[8])?;
/// let terms = robust(policy, reference, &Robust::default())?;
/// assert!((terms.values()[0] - 0.60220705).abs() < 1e-8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn robust<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: impl Into<Option<PairLogps<P, E, D>>>,
    config: &Robust,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let scoring = Scoring::under(config.divergence);
    let scored = Scored::new(Robust::NAME, policy, reference.into(), &scoring, config.beta)?;
    scored.by_margin(config.beta, |z| corrected(z, config.label_smoothing))
}

/// Value and slope at `z`.
fn corrected(z: f64, epsilon: f64) -> (f64, f64) {
    let (kept, swapped) = (logistic(z), logistic(-z));
    let scale = 1.0 - 2.0 * epsilon;
    (((1.0 - epsilon) * kept.0 - epsilon * swapped.0) / scale, ((1.0 - epsilon) * kept.1 + epsilon * swapped.1) / scale)
}
