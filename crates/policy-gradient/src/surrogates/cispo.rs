//! CISPO: the importance weight is cut, not the gradient.

use dfdx::prelude::*;
use tropism_core::LossTerms;

use super::common::{Scored, Surrogate, evaluate};
use super::declare::{on_rollouts, surrogate_options};
use crate::row::Row;
use crate::{Aggregation, KlPenalty, PolicyGradientError, RatioLevel, Rollout};

surrogate_options! {
    /// Options of [`cispo()`].
    Cispo = "cispo", "MiniMax-M1, arXiv 2506.13585", Aggregation::TokenMean, KlPenalty::none(), KlPenalty::check, {
        /// Largest importance weight: the cap itself, not its distance from 1; 5 by default.
        epsilon_high: f64 = 5.0, with_epsilon_high, tropism_core::options::positive;
    }
}

on_rollouts!(Cispo, cispo);

/// The formula.
struct Weighted {
    cap: f64,
}

impl Surrogate for Weighted {
    fn level(&self) -> RatioLevel {
        RatioLevel::Token
    }

    fn score(&self, row: &Row, weights: &[f64]) -> Scored {
        let ratios: Vec<f64> = row.log_ratios().iter().map(|r| r.exp()).collect();
        let slopes: Vec<f64> = ratios.iter().zip(&row.advantages).map(|(r, a)| -r.min(self.cap) * a).collect();
        let high: Vec<bool> = ratios.iter().zip(&row.advantages).map(|(&r, &a)| r > self.cap && a > 0.0).collect();
        let cut = high.iter().filter(|&&h| h).count() as f64 / high.len().max(1) as f64;
        Scored {
            values: slopes.iter().zip(&row.logps).map(|(s, lp)| s * lp).collect(),
            slopes: slopes.iter().zip(weights).map(|(s, w)| s * w).collect(),
            low: vec![false; high.len()],
            high,
            figure: Some(cut),
        }
    }

    fn figure(&self) -> Option<&'static str> {
        Some("cispo_clip_ratio")
    }

    fn clips(&self) -> bool {
        false
    }
}

/// The CISPO loss of `P` completions.
///
/// With `r_t = exp(logp_t − logp_old,t)`, for each counted token:
///
/// ```text
/// l_t       = −sg[min(r_t, ε_high)] A_t logp_t
/// ∂l/∂logp  = −min(r_t, ε_high) A_t
/// ```
///
/// averaged over tokens. Every token keeps a gradient; the value means nothing. Reports `cispo_clip_ratio`, the share of
/// tokens with a positive advantage and a weight above the cap.
///
/// Source: MiniMax 2025, arXiv 2506.13585; the cap of 5 from ScaleRL, Khatri et al. 2025.
///
/// # Errors
/// [`PolicyGradientError::Option`]; [`PolicyGradientError::Missing`] and [`PolicyGradientError::Unused`] when the rollout is
/// not what the options read; [`PolicyGradientError::Core`] for a loss that is not finite.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::TokenLogps;
/// use tropism_policy_gradient::{Cispo, Rollout, cispo};
///
/// let dev = Cpu::default();
/// let logps = dev.tensor([[-1.0_f64, -2.0]]);
/// let old = TokenLogps::new(dev.tensor([[-4.0, -2.0]]), &[true, true])?;
/// let policy = TokenLogps::new(logps.leaky_trace(), &[true, true])?;
/// let rollout = Rollout::new(policy).with_advantages(&[1.0])?.with_old(old)?;
/// let loss = cispo(rollout, &Cispo::default())?.mean()?;
/// assert_eq!(loss.array(), (5.0 + 2.0) / 2.0);
/// assert_eq!(loss.backward().get(&logps).array(), [[-2.5, -0.5]]);
/// # Ok::<(), tropism_policy_gradient::PolicyGradientError>(())
/// ```
pub fn cispo<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    rollout: Rollout<P, C, E, D, T>,
    config: &Cispo,
) -> Result<LossTerms<P, E, D, T>, PolicyGradientError> {
    config.check()?;
    Ok(evaluate(Cispo::NAME, rollout, &config.formula(), &config.shared())?.terms)
}

impl Cispo {
    /// The formula under these options.
    pub(crate) fn formula(&self) -> impl Surrogate {
        Weighted { cap: self.epsilon_high }
    }
}
