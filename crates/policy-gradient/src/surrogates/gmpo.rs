//! GMPO: the geometric mean of clipped ratios.

use dfdx::prelude::*;
use tropism_core::LossTerms;

use super::common::{Scored, Surrogate, evaluate};
use super::declare::{on_rollouts, surrogate_options};
use crate::row::{Row, mean};
use crate::{Aggregation, KlPenalty, PolicyGradientError, RatioLevel, Rollout};

surrogate_options! {
    /// Options of [`gmpo()`].
    Gmpo = "gmpo", "Geometric-Mean Policy Optimization, arXiv 2507.20673",
        Aggregation::SequenceMean, KlPenalty::none(), KlPenalty::check_unweighted, {
        /// Lower bound of the log-ratio below 0, in nats; 0.4 by default.
        epsilon_low: f64 = 0.4, with_epsilon_low, tropism_core::options::not_negative;
        /// Upper bound of the log-ratio, in nats; 0.4 by default.
        epsilon_high: f64 = 0.4, with_epsilon_high, tropism_core::options::not_negative;
    }
}

on_rollouts!(Gmpo, gmpo);

/// The formula.
struct GeometricMean {
    low: f64,
    high: f64,
}

impl Surrogate for GeometricMean {
    fn level(&self) -> RatioLevel {
        RatioLevel::Token
    }

    fn score(&self, row: &Row, weights: &[f64]) -> Scored {
        let (ratios, advantages) = (row.log_ratios(), &row.advantages);
        let low: Vec<bool> = ratios.iter().zip(advantages).map(|(&r, &a)| a < 0.0 && r < -self.low).collect();
        let high: Vec<bool> = ratios.iter().zip(advantages).map(|(&r, &a)| a > 0.0 && r > self.high).collect();
        let cut = |t: usize| match (low[t], high[t]) {
            (true, _) => -self.low,
            (_, true) => self.high,
            _ => ratios[t],
        };
        let clipped: Vec<f64> = (0..ratios.len()).map(cut).collect();
        let ratio = mean(&clipped).exp();
        let values: Vec<f64> = advantages.iter().map(|a| -a * ratio).collect();
        let whole: f64 = values.iter().zip(weights).map(|(v, w)| v * w).sum();
        let free = |t: usize| if low[t] || high[t] { 0.0 } else { whole / ratios.len() as f64 };
        Scored { slopes: (0..ratios.len()).map(free).collect(), values, low, high, figure: None }
    }

    fn empty(&self, advantage: f64) -> f64 {
        -advantage
    }
}

/// The GMPO loss of `P` completions.
///
/// With `h_t = logp_t − logp_old,t`, cut on the side that the sign of the advantage makes pessimistic, for `n` counted
/// tokens:
///
/// ```text
/// c_t       = min(h_t, ε_high) for A > 0,  max(h_t, −ε_low) for A < 0
/// l         = −A exp(mean_t c_t)
/// ∂l/∂logp  = l / n for tokens that are not cut, else 0
/// ```
///
/// averaged over completions; one without tokens counts as `−A`. The bounds are of log-ratios. A KL term cannot be weighted
/// by the ratio.
///
/// Source: geometric-mean policy optimisation, Zhao et al. 2025, arXiv 2507.20673; TRL's trainer of that name.
///
/// # Errors
/// [`PolicyGradientError::Option`]; [`PolicyGradientError::Missing`] and [`PolicyGradientError::Unused`] when the rollout is
/// not what the options read; [`PolicyGradientError::Core`] for a loss that is not finite.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::TokenLogps;
/// use tropism_policy_gradient::{Gmpo, Rollout, gmpo};
///
/// let dev = Cpu::default();
/// let logps = dev.tensor([[-1.0_f64, -2.0]]);
/// let old = TokenLogps::new(dev.tensor([[-2.0, -2.0]]), &[true, true])?;
/// let policy = TokenLogps::new(logps.leaky_trace(), &[true, true])?;
/// let rollout = Rollout::new(policy).with_advantages(&[1.0])?.with_old(old)?;
/// let loss = gmpo(rollout, &Gmpo::default())?.mean()?;
/// assert!((loss.array() + 0.2_f64.exp()).abs() < 1e-12);
/// assert!((loss.backward().get(&logps).array()[0][1] + 0.2_f64.exp() / 2.0).abs() < 1e-12);
/// # Ok::<(), tropism_policy_gradient::PolicyGradientError>(())
/// ```
pub fn gmpo<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    rollout: Rollout<P, C, E, D, T>,
    config: &Gmpo,
) -> Result<LossTerms<P, E, D, T>, PolicyGradientError> {
    config.check()?;
    Ok(evaluate(Gmpo::NAME, rollout, &config.formula(), &config.shared())?.terms)
}

impl Gmpo {
    /// The formula under these options.
    pub(crate) fn formula(&self) -> impl Surrogate {
        GeometricMean { low: self.epsilon_low, high: self.epsilon_high }
    }
}
