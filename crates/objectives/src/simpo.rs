//! SimPO: preference optimisation on length-averaged log-probabilities, without a reference.

use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use tropism_core::numerics::{log_sigmoid_scalar, pointwise, scalar, sigmoid_scalar, to_f64};
use tropism_core::{CoreError, LossTerms, PairLogps};

use crate::ObjectiveError;
use crate::pairwise::{Lengths, Seen, Sides, margin};

/// Options of [`simpo()`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Simpo {
    /// Scale of the reward, `β > 0`; 2.0 by default, much larger than DPO's, for the scores are means over tokens.
    pub beta: f64,
    /// Target margin over `beta`, `γ/β ≥ 0`; 0.25 by default, usually between 0 and 1. TRL's `simpo_gamma` is `γ` itself.
    pub gamma_beta_ratio: f64,
    /// Assumed share of swapped labels, `0 ≤ ε < 0.5`; 0 by default.
    pub label_smoothing: f64,
}

impl Default for Simpo {
    fn default() -> Self {
        Self { beta: 2.0, gamma_beta_ratio: 0.25, label_smoothing: 0.0 }
    }
}

impl Simpo {
    /// The method's name in configuration files.
    pub const NAME: &'static str = "simpo";

    /// Sets `beta`; the ratio `γ/β` stays.
    #[must_use]
    pub fn with_beta(self, beta: f64) -> Self {
        Self { beta, ..self }
    }

    /// Sets `γ/β`.
    #[must_use]
    pub fn with_gamma_beta_ratio(self, gamma_beta_ratio: f64) -> Self {
        Self { gamma_beta_ratio, ..self }
    }

    /// Sets the label smoothing.
    #[must_use]
    pub fn with_label_smoothing(self, label_smoothing: f64) -> Self {
        Self { label_smoothing, ..self }
    }

    /// Checks the options.
    ///
    /// # Errors
    /// [`ObjectiveError::Config`] unless `beta > 0`, `gamma_beta_ratio ≥ 0`, both finite, and
    /// `0 ≤ label_smoothing < 0.5`.
    pub fn check(&self) -> Result<(), ObjectiveError> {
        ObjectiveError::check_positive(Self::NAME, "beta", self.beta)?;
        let (ratio, epsilon) = (self.gamma_beta_ratio, self.label_smoothing);
        ObjectiveError::check(
            ratio >= 0.0 && ratio.is_finite(),
            (Self::NAME, "gamma_beta_ratio", ratio),
            "at least 0 and finite",
        )?;
        ObjectiveError::check(
            (0.0..0.5).contains(&epsilon),
            (Self::NAME, "label_smoothing", epsilon),
            "at least 0 and below 0.5",
        )
    }
}

/// The SimPO loss of `P` pairs; reads the policy alone.
///
/// With summed log-probabilities `lp` in nats, lengths `n` in tokens (0 counts as 1), `a = lp/n`, and label smoothing `ε`:
///
/// ```text
/// z = β (a_w − a_l − γ/β)
/// losses = −(1−ε) log σ(z) − ε log σ(−z)      weights = 1
/// s = (1−ε) σ(−z) − ε σ(z)
/// ∂losses/∂lp_w = −β s / n_w      ∂losses/∂lp_l = +β s / n_l
/// ```
///
/// Each token of a completion gets its sequence's value. Rewards are `β a`, and `rewards/accuracies` compares them without
/// the target margin. `mean_logps/chosen` falling fast is the sign of a learning rate that is too high.
///
/// Source: Meng et al. 2024, arXiv 2405.14734, equation 6, and the authors' code, from which the defaults come. TRL reaches
/// the same loss by loss type `simpo` with `cpo_alpha = 0` (its default of 1 adds a likelihood term) and
/// `simpo_gamma = β · gamma_beta_ratio`.
///
/// # Errors
/// [`ObjectiveError::Config`]; [`ObjectiveError::Core`] for a loss that is not finite.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{Simpo, simpo};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-1.8_f64]), dev.tensor([-2.5]), &[3], &[2])?;
/// let terms = simpo(policy, &Simpo::default().with_gamma_beta_ratio(0.5))?;
/// assert!((terms.values()[0] - 0.55435524).abs() < 1e-8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn simpo<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    config: &Simpo,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let (seen, lengths) = (Seen::of(&policy), Lengths::of(&policy));
    let scores = lengths.average(Sides { chosen: policy.chosen, rejected: policy.rejected })?;
    let mut diagnostics = seen.with_scores(&scores, config.beta)?;
    diagnostics.push("mean_logps/chosen", to_f64(&scores.chosen))?;
    diagnostics.push("mean_logps/rejected", to_f64(&scores.rejected))?;
    let target = scalar::<E>(config.beta * config.gamma_beta_ratio)?;
    let z = margin(scores, config.beta)?.try_sub(target).map_err(CoreError::device)?;
    let losses = pointwise(z, |z| smoothed(z, config.label_smoothing))?;
    let weights = vec![1.0; diagnostics.rows()];
    Ok(LossTerms::new(losses, weights, diagnostics)?)
}

/// Value and slope of the label-smoothed logistic loss at `z`.
fn smoothed(z: f64, epsilon: f64) -> (f64, f64) {
    let value = -(1.0 - epsilon) * log_sigmoid_scalar(z) - epsilon * log_sigmoid_scalar(-z);
    let slope = epsilon * sigmoid_scalar(z) - (1.0 - epsilon) * sigmoid_scalar(-z);
    (value, slope)
}
