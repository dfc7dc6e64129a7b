//! Efficient exact optimisation on pairs: reverse KL between label and policy.

use dfdx::prelude::*;
use tropism_core::{LossTerms, PairLogps};

use crate::ObjectiveError;
use crate::method::on_pairs;
use crate::options::{options, positive, positive_flip_rate};
use crate::pairwise::{Divergence, Scored, Scoring};
use tropism_core::numerics::{log_sigmoid_scalar, sigmoid_scalar};

options! {
    /// Options of [`exo()`].
    Exo = "exo", "EXO, arXiv 2402.00856" {
        /// Weight of the implicit KL penalty, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
        /// Assumed share of swapped labels, `0 < ε < 0.5`; 1e-3 by default.
        label_smoothing: f64 = 1e-3, with_label_smoothing, positive_flip_rate;
        /// Divergence from the reference; reverse KL by default.
        divergence: Divergence = Divergence::ReverseKl, with_divergence, Divergence::check;
    }
}

on_pairs!(Exo, exo, |_c| true);

/// The EXO loss of pairs: the KL divergence of the policy's preference `q = σ(z)` from smoothed labels.
///
/// With `z = β (s_w − s_l)` as in [`dpo()`](crate::dpo()):
///
/// ```text
/// losses = q [log q − log(1−ε)] + (1−q) [log(1−q) − log ε]     weights = 1
/// ∂losses/∂z = q (1−q) [z − log((1−ε)/ε)]
/// ```
///
/// Bounded: it tends to `−log(1−ε)` for large and to `−log ε` for very negative `z`. The gradient vanishes at
/// `z = log((1−ε)/ε)` and in both tails, so a pair that starts far on the wrong side is given up.
///
/// Source: Ji et al. 2024, arXiv 2402.00856, equation 16; TRL's loss type `exo_pair`.
///
/// # Errors
/// As [`dpo()`](crate::dpo()).
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{Exo, exo};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-10.0_f64]), dev.tensor([-12.0]), &[5], &[8])?;
/// let reference = PairLogps::new(dev.tensor([-11.0_f64]), dev.tensor([-11.5]), &[5], &[8])?;
/// let terms = exo(policy, reference, &Exo::default())?;
/// assert!((terms.values()[0] - 2.50551656).abs() < 1e-8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn exo<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: impl Into<Option<PairLogps<P, E, D>>>,
    config: &Exo,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let scoring = Scoring::under(config.divergence);
    let scored = Scored::new(Exo::NAME, policy, reference.into(), &scoring, config.beta)?;
    scored.by_margin(config.beta, |z| exact(z, config.label_smoothing))
}

/// Value and slope at `z`.
fn exact(z: f64, epsilon: f64) -> (f64, f64) {
    let (q, rest) = (sigmoid_scalar(z), sigmoid_scalar(-z));
    let (log_q, log_rest) = (log_sigmoid_scalar(z), log_sigmoid_scalar(-z));
    let value = q * (log_q - (-epsilon).ln_1p()) + rest * (log_rest - epsilon.ln());
    (value, q * rest * (z - ((-epsilon).ln_1p() - epsilon.ln())))
}
