//! BoNBoN: the best of `n` samples against the worst, with the margin that best-of-`n` sampling would have.

use dfdx::prelude::*;
use tropism_core::{LossTerms, OptionError, PairLogps};

use crate::ObjectiveError;
use crate::link::squared;
use crate::method::on_pairs;
use crate::options::{options, share};
use crate::pairwise::{Scored, Scoring};

options! {
    /// Options of [`bonbon()`].
    Bonbon = "bonbon", "A Survey of Direct Preference Optimization, arXiv 2503.11701" {
        /// Samples `n ≥ 2` of the reference of which the pair is the best and the worst; 8 by default.
        samples: usize = 8, with_samples, several;
        /// Share `α` of the likelihood of the best sample, from 0 to 1; 0.005 by default.
        alpha: f64 = 0.005, with_alpha, share;
    }
}

/// At least two, or best and worst are the same.
fn several(method: &'static str, key: &'static str, value: &usize) -> Result<(), OptionError> {
    OptionError::check(*value >= 2, (method, key, *value as f64), "at least 2")
}

on_pairs!(Bonbon, bonbon, |_c| true);

/// The BoNBoN loss of `P` pairs, the best and the worst of `n` samples of the reference.
///
/// With the chosen completion's summed log-probability `lp_w` and log-ratios `h`, in nats:
///
/// ```text
/// m = (n − 1) Σ_{k=1}^{n−1} 1/k
/// losses = −α lp_w + (1 − α) (h_w − h_l − m)²     weights = 1
/// ∂losses/∂lp_w = −α + 2 (1 − α) (h_w − h_l − m)     ∂losses/∂lp_l = −2 (1 − α) (h_w − h_l − m)
/// ```
///
/// `m` is the expected margin between best and worst of the policy that would write the best of `n`: its log-ratio is
/// `log n + (n − 1) log F` for a sample of quantile `F`, and the logs of the largest and the least of `n` uniform numbers average
/// `−1/n` and `−Σ_{k=1}^n 1/k`. No `β` is left to choose. At `α = 0` it is [`ipo()`](crate::ipo()) on sums with
/// `β = 1/(2m)`; at 1 it is the likelihood of the best samples, summed per row. Rewards are the log-ratios.
///
/// Source: class "self-play" of A Survey of Direct Preference Optimization, arXiv 2503.11701, which names the method
/// (best-vs-worst-of-n); `m` is derived, the default of `α` is what we know of its authors' experiments.
///
/// # Errors
/// [`ObjectiveError::Config`]; as [`dpo()`](crate::dpo()).
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{Bonbon, bonbon};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-40.0_f64]), dev.tensor([-55.0]), &[20], &[25])?;
/// let reference = PairLogps::new(dev.tensor([-42.0_f64]), dev.tensor([-50.0]), &[20], &[25])?;
/// // The best of 3 has a margin of 3, this pair one of 7.
/// let terms = bonbon(policy, reference, &Bonbon::default().with_samples(3).with_alpha(0.5))?;
/// assert!((terms.values()[0] - (0.5 * 40.0 + 0.5 * 16.0)).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn bonbon<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: impl Into<Option<PairLogps<P, E, D>>>,
    config: &Bonbon,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let margin = config.margin();
    let scored = Scored::new(Bonbon::NAME, policy, reference.into(), &Scoring::RATIOS, 1.0)?;
    let chosen = scored.diagnostics.get("logps/chosen").unwrap_or_default().to_vec();
    let alpha = config.alpha;
    scored.by_pair(|row, a, c| {
        let (value, slope) = squared(a - c, margin);
        [(1.0 - alpha) * value - alpha * chosen[row], (1.0 - alpha) * slope - alpha, -(1.0 - alpha) * slope]
    })
}

impl Bonbon {
    /// The expected margin between the best and the worst of the samples.
    fn margin(&self) -> f64 {
        (self.samples - 1) as f64 * (1..self.samples).map(|k| 1.0 / k as f64).sum::<f64>()
    }
}
