//! SAPO: a soft gate instead of clipping.

use dfdx::prelude::*;
use tropism_core::LossTerms;
use tropism_core::numerics::sigmoid_scalar;

use super::common::{Scored, Surrogate, evaluate};
use super::declare::{on_rollouts, surrogate_options};
use crate::row::Row;
use crate::{Aggregation, KlPenalty, PolicyGradientError, RatioLevel, Rollout};

surrogate_options! {
    /// Options of [`sapo()`].
    Sapo = "sapo", "Soft Adaptive Policy Optimization, arXiv 2511.20347",
        Aggregation::SequenceMean, KlPenalty::none(), KlPenalty::check, {
        /// Steepness of the gate for positive advantages; 1 by default.
        temperature_pos: f64 = 1.0, with_temperature_pos, tropism_core::options::positive;
        /// Steepness of the gate for other advantages; 1.05 by default.
        temperature_neg: f64 = 1.05, with_temperature_neg, tropism_core::options::positive;
    }
}

on_rollouts!(Sapo, sapo);

/// The formula.
struct Gate {
    positive: f64,
    negative: f64,
}

impl Gate {
    /// Value and slope in the log-ratio.
    fn at(&self, log_ratio: f64, advantage: f64) -> (f64, f64) {
        let tau = if advantage > 0.0 { self.positive } else { self.negative };
        let ratio = log_ratio.exp();
        let z = tau * (ratio - 1.0);
        let (open, closed) = (sigmoid_scalar(z), sigmoid_scalar(-z));
        // Far above 1 the gate is shut; the product would be 0 · ∞ there.
        let slope = if ratio.is_finite() { 4.0 * open * closed * ratio } else { 0.0 };
        (-4.0 / tau * open * advantage, -slope * advantage)
    }
}

impl Surrogate for Gate {
    fn level(&self) -> RatioLevel {
        RatioLevel::Token
    }

    fn score(&self, row: &Row, weights: &[f64]) -> Scored {
        let at = row.log_ratios().into_iter().zip(&row.advantages).map(|(r, &a)| self.at(r, a));
        let (values, slopes): (Vec<f64>, Vec<f64>) = at.unzip();
        let slopes = slopes.iter().zip(weights).map(|(s, w)| s * w).collect();
        Scored { values, slopes, low: Vec::new(), high: Vec::new(), figure: None }
    }

    fn clips(&self) -> bool {
        false
    }
}

/// The SAPO loss of `P` completions.
///
/// With `r_t = exp(logp_t − logp_old,t)` and `τ` by the sign of the advantage, for each counted token:
///
/// ```text
/// l_t       = −(4/τ) σ(τ (r_t − 1)) A_t
/// ∂l/∂logp  = −4 s (1 − s) r_t A_t        s = σ(τ (r_t − 1))
/// ```
///
/// averaged over the tokens of a completion, then over completions. At `r = 1` the gradient is that of the ratio itself.
///
/// Source: soft adaptive policy optimisation, Gao et al. 2025, arXiv 2511.20347; TRL's `sapo`.
///
/// # Errors
/// [`PolicyGradientError::Option`]; [`PolicyGradientError::Missing`] and [`PolicyGradientError::Unused`] when the rollout is
/// not what the options read; [`PolicyGradientError::Core`] for a loss that is not finite.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::TokenLogps;
/// use tropism_policy_gradient::{Rollout, Sapo, sapo};
///
/// let logps = Cpu::default().tensor([[-1.0_f64, -2.0]]);
/// let policy = TokenLogps::new(logps.leaky_trace(), &[true, true])?;
/// let loss = sapo(Rollout::new(policy).with_advantages(&[1.0])?, &Sapo::default())?.mean()?;
/// assert_eq!(loss.array(), -2.0);
/// assert_eq!(loss.backward().get(&logps).array(), [[-0.5, -0.5]]);
/// # Ok::<(), tropism_policy_gradient::PolicyGradientError>(())
/// ```
pub fn sapo<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    rollout: Rollout<P, C, E, D, T>,
    config: &Sapo,
) -> Result<LossTerms<P, E, D, T>, PolicyGradientError> {
    config.check()?;
    Ok(evaluate(Sapo::NAME, rollout, &config.formula(), &config.shared())?.terms)
}

impl Sapo {
    /// The formula under these options.
    pub(crate) fn formula(&self) -> impl Surrogate {
        Gate { positive: self.temperature_pos, negative: self.temperature_neg }
    }
}
