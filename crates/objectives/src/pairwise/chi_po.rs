//! χPO: DPO with a chi-squared penalty beside the KL penalty.

use dfdx::prelude::*;
use tropism_core::{LossTerms, PairLogps};

use crate::ObjectiveError;
use crate::link::logistic;
use crate::method::on_pairs;
use crate::options::{optional, options, positive};
use crate::pairwise::{Scored, Scoring};

options! {
    /// Options of [`chi_po()`].
    ChiPo = "chi_po", "A Survey of Direct Preference Optimization, arXiv 2503.11701" {
        /// Weight of the implicit KL penalty, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
        /// Largest `|z|` that counts, in units of reward; without it, the default, margins are not cut.
        clip: Option<f64> = None, with_clip, optional(positive);
    }
}

on_pairs!(ChiPo, chi_po, |_c| true);

/// The χPO loss of `P` pairs.
///
/// With log-ratios `h` in nats and `φ(h) = e^{min(h, 20)} + h`:
///
/// ```text
/// z = β (φ(h_w) − φ(h_l)), cut to [−clip, clip]      losses = −log σ(z)      weights = 1
/// ∂losses/∂lp_w = −β σ(−z) (e^{h_w} + 1)      ∂losses/∂lp_l = +β σ(−z) (e^{h_l} + 1)
/// ```
///
/// The exponential makes large log-ratios costly: the policy stays where the reference has mass. A margin that is cut has no
/// gradient, and above 20 nats the exponential has none. With `e^h` near 1 the scores are twice those of DPO. The reported
/// rewards are `β h`.
///
/// Source: Huang et al. 2024, arXiv 2407.13399, where the margin is cut at twice the largest reward.
///
/// # Errors
/// As [`dpo()`](crate::dpo()).
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{ChiPo, chi_po};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-40.0_f64]), dev.tensor([-55.0]), &[20], &[25])?;
/// let reference = PairLogps::new(dev.tensor([-42.0_f64]), dev.tensor([-50.0]), &[20], &[25])?;
/// let terms = chi_po(policy, reference, &ChiPo::default())?;
/// assert!((terms.values()[0] - 0.212970).abs() < 1e-6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn chi_po<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: impl Into<Option<PairLogps<P, E, D>>>,
    config: &ChiPo,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let beta = config.beta;
    let scored = Scored::new(ChiPo::NAME, policy, reference.into(), &Scoring::RATIOS, beta)?;
    scored.by_pair(|_, a, c| {
        let ((up, rise), (down, fall)) = (score(a), score(c));
        let (z, bound) = (beta * (up - down), config.clip.unwrap_or(f64::INFINITY));
        let (value, slope) = logistic(z.clamp(-bound, bound));
        let slope = if z.abs() > bound { 0.0 } else { beta * slope };
        [value, slope * rise, -slope * fall]
    })
}

/// `e^h + h` with its slope; the exponential ends at 20 nats.
fn score(h: f64) -> (f64, f64) {
    let slope = if h > 20.0 { 0.0 } else { h.exp() };
    (h.min(20.0).exp() + h, slope + 1.0)
}
