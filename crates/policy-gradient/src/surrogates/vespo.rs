//! VESPO: a smooth weight of the completion's importance ratio.

use dfdx::prelude::*;
use tropism_core::LossTerms;

use super::common::{Scored, Surrogate, evaluate};
use super::declare::{on_rollouts, surrogate_options};
use crate::row::{Row, mean};
use crate::{Aggregation, KlPenalty, PolicyGradientError, RatioLevel, Rollout};

surrogate_options! {
    /// Options of [`vespo()`].
    Vespo = "vespo", "VESPO: Variational Sequence-Level Soft Policy Optimization, 2026; TRL's GRPO trainer",
        Aggregation::TokenMean, KlPenalty::none(), KlPenalty::check, {
        /// Power of the ratio for advantages of at least 0; 2 by default.
        k_pos: f64 = 2.0, with_k_pos, tropism_core::options::not_negative;
        /// Decay in the ratio for advantages of at least 0; 3 by default.
        lambda_pos: f64 = 3.0, with_lambda_pos, tropism_core::options::not_negative;
        /// Power of the ratio for negative advantages; 3 by default.
        k_neg: f64 = 3.0, with_k_neg, tropism_core::options::not_negative;
        /// Decay in the ratio for negative advantages; 2 by default.
        lambda_neg: f64 = 2.0, with_lambda_neg, tropism_core::options::not_negative;
    }
}

on_rollouts!(Vespo, vespo);

/// Log-ratios of completions are kept within these bounds, as TRL does.
const BOUNDS: [f64; 2] = [1e-8, 20.0];

/// The formula.
struct Smooth {
    /// Power and decay.
    positive: [f64; 2],
    negative: [f64; 2],
}

impl Smooth {
    /// The weight at a log-ratio: `e^λ w^k e^{−λ w}`, 1 at `w = 1`.
    fn weight(&self, log_ratio: f64, advantage: f64) -> f64 {
        let [k, lambda] = if advantage < 0.0 { self.negative } else { self.positive };
        (lambda + k * log_ratio - lambda * log_ratio.exp()).exp()
    }
}

impl Surrogate for Smooth {
    fn level(&self) -> RatioLevel {
        RatioLevel::Token
    }

    fn score(&self, row: &Row, weights: &[f64]) -> Scored {
        let whole: f64 = row.log_ratios().iter().sum::<f64>().clamp(BOUNDS[0].ln(), BOUNDS[1]);
        let phi: Vec<f64> = row.advantages.iter().map(|&a| self.weight(whole, a)).collect();
        let slopes: Vec<f64> = phi.iter().zip(&row.advantages).map(|(phi, a)| -phi * a).collect();
        Scored {
            values: slopes.iter().zip(&row.logps).map(|(s, lp)| s * lp).collect(),
            slopes: slopes.iter().zip(weights).map(|(s, w)| s * w).collect(),
            low: Vec::new(),
            high: Vec::new(),
            figure: Some(if phi.is_empty() { self.weight(whole, 0.0) } else { mean(&phi) }),
        }
    }

    fn figure(&self) -> Option<&'static str> {
        Some("vespo/phi")
    }

    fn clips(&self) -> bool {
        false
    }
}

/// The VESPO loss of `P` completions.
///
/// With the ratio of the completion `log w = Σ_t (logp_t − logp_old,t)`, kept in `[ln 1e−8, 20]`, and `(k, λ)` by the sign
/// of the advantage, for each counted token:
///
/// ```text
/// φ         = sg[exp(λ + k log w − λ w)]
/// l_t       = −φ A_t logp_t
/// ∂l/∂logp  = −φ A_t
/// ```
///
/// averaged over tokens; the value means nothing. Reports `vespo/phi`, the row's weight.
///
/// Source: variational sequence-level soft policy optimisation, 2026; TRL's `vespo`.
///
/// # Errors
/// [`PolicyGradientError::Option`]; [`PolicyGradientError::Missing`] and [`PolicyGradientError::Unused`] when the rollout is
/// not what the options read; [`PolicyGradientError::Core`] for a loss that is not finite.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::TokenLogps;
/// use tropism_policy_gradient::{Rollout, Vespo, vespo};
///
/// let logps = Cpu::default().tensor([[-1.0_f64, -2.0]]);
/// let policy = TokenLogps::new(logps.leaky_trace(), &[true, true])?;
/// let loss = vespo(Rollout::new(policy).with_advantages(&[2.0])?, &Vespo::default())?.mean()?;
/// assert_eq!(loss.backward().get(&logps).array(), [[-1.0, -1.0]]);
/// # Ok::<(), tropism_policy_gradient::PolicyGradientError>(())
/// ```
pub fn vespo<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    rollout: Rollout<P, C, E, D, T>,
    config: &Vespo,
) -> Result<LossTerms<P, E, D, T>, PolicyGradientError> {
    config.check()?;
    Ok(evaluate(Vespo::NAME, rollout, &config.formula(), &config.shared())?.terms)
}

impl Vespo {
    /// The formula under these options.
    pub(crate) fn formula(&self) -> impl Surrogate {
        Smooth { positive: [self.k_pos, self.lambda_pos], negative: [self.k_neg, self.lambda_neg] }
    }
}
