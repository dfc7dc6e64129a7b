//! Direct preference optimisation with the logistic (sigmoid) link.

use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use tropism_core::numerics::log_sigmoid;
use tropism_core::{CoreError, LossTerms, PairLogps};

use crate::ObjectiveError;
use crate::pairwise::{Seen, log_ratios, margin};

/// Options of [`dpo()`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dpo {
    /// Weight of the implicit KL penalty, `β > 0`; 0.1 by default. Smaller values let the policy move further.
    pub beta: f64,
}

impl Default for Dpo {
    fn default() -> Self {
        Self { beta: 0.1 }
    }
}

impl Dpo {
    /// The method's name in configuration files.
    pub const NAME: &'static str = "dpo";

    /// Sets `beta`.
    #[must_use]
    pub fn with_beta(self, beta: f64) -> Self {
        Self { beta }
    }

    /// Checks the options.
    ///
    /// # Errors
    /// [`ObjectiveError::Config`] unless `beta` is positive and finite.
    pub fn check(&self) -> Result<(), ObjectiveError> {
        ObjectiveError::check_positive(Self::NAME, "beta", self.beta)
    }
}

/// The DPO loss of `P` pairs against a frozen reference.
///
/// With summed log-probabilities `lp` under the policy and `rf` under the reference, in nats:
///
/// ```text
/// h_w = lp_w − rf_w      h_l = lp_l − rf_l      z = β (h_w − h_l)
/// losses = −log σ(z)     weights = 1
/// ∂losses/∂lp_w = −β σ(−z)      ∂losses/∂lp_l = +β σ(−z)
/// ```
///
/// Rewards are `β h`. At `policy = reference` the loss is `ln 2` and the reward margins are 0 (ties, which count as wrong
/// in `rewards/accuracies`); a first step that shows anything else points to dropout or to different tokens.
///
/// Source: Rafailov et al. 2023, arXiv 2305.18290, equation 7; TRL's loss type `sigmoid`. The authors' code and early TRL
/// put label smoothing inside this loss; current TRL ignores that option here, and this function has none.
///
/// # Errors
/// [`ObjectiveError::Config`]; [`ObjectiveError::UnevenLengths`] when policy and reference counted different tokens;
/// [`ObjectiveError::Core`] for different numbers of rows or a loss that is not finite.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{Dpo, dpo};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-10.0_f64, -3.0]), dev.tensor([-12.0, -4.0]), &[5, 2], &[8, 2])?;
/// let terms = dpo(policy.clone(), policy, &Dpo::default().with_beta(0.5))?;
/// assert!(terms.values().iter().all(|l| (l - 2.0_f64.ln()).abs() < 1e-15));
/// assert_eq!(terms.diagnostics.mean("rewards/ties"), Some(1.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn dpo<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: PairLogps<P, E, D>,
    config: &Dpo,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let seen = Seen::of(&policy);
    let scores = log_ratios(policy, &reference)?;
    let diagnostics = seen.with_scores(&scores, config.beta)?;
    let losses = log_sigmoid(margin(scores, config.beta)?)?;
    let losses = losses.try_negate().map_err(CoreError::device)?;
    let weights = vec![1.0; diagnostics.rows()];
    Ok(LossTerms::new(losses, weights, diagnostics)?)
}
