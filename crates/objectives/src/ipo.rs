//! Identity preference optimisation: squared distance of the log-ratio margin from a fixed target.

use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use tropism_core::numerics::scalar;
use tropism_core::{CoreError, LossTerms, PairLogps};

use crate::ObjectiveError;
use crate::pairwise::{Lengths, Seen, log_ratios, margin};

/// How a completion's log-ratio is normalised before the two sides are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalization {
    /// Divided by the completion's length: log-ratio per token.
    #[default]
    Mean,
    /// As it is: summed over tokens.
    Sum,
}

/// Options of [`ipo()`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ipo {
    /// Regularisation, `β > 0` (the paper's τ): the margin is pulled towards `1/(2β)`; 0.1 by default.
    pub beta: f64,
    /// Log-ratio per token (`"mean"`, the default) or per completion (`"sum"`). A `beta` for one does not suit the other.
    pub normalization: Normalization,
}

impl Default for Ipo {
    fn default() -> Self {
        Self { beta: 0.1, normalization: Normalization::Mean }
    }
}

impl Ipo {
    /// The method's name in configuration files.
    pub const NAME: &'static str = "ipo";

    /// Sets `beta`.
    #[must_use]
    pub fn with_beta(self, beta: f64) -> Self {
        Self { beta, ..self }
    }

    /// Sets the normalisation of the log-ratios.
    #[must_use]
    pub fn with_normalization(self, normalization: Normalization) -> Self {
        Self { normalization, ..self }
    }

    /// Checks the options.
    ///
    /// # Errors
    /// [`ObjectiveError::Config`] unless `beta` is positive and finite.
    pub fn check(&self) -> Result<(), ObjectiveError> {
        ObjectiveError::check_positive(Self::NAME, "beta", self.beta)
    }
}

/// The IPO loss of `P` pairs against a frozen reference.
///
/// With log-ratios `h = lp − rf` in nats and lengths `n` in tokens (0 counts as 1; `n = 1` for `"sum"`):
///
/// ```text
/// Δ = h_w/n_w − h_l/n_l
/// losses = (Δ − 1/(2β))²     weights = 1
/// ∂losses/∂lp_w = +2 (Δ − 1/(2β)) / n_w      ∂losses/∂lp_l = −2 (Δ − 1/(2β)) / n_l
/// ```
///
/// Unlike a logistic loss it has a minimum at a finite margin, so it also stops on preferences without noise.
///
/// Source: Azar et al. 2023, arXiv 2310.12036, equation 17, which sums (τ there is `beta`). TRL averages over tokens, after
/// correspondence with the authors, while the DPO authors' code and others sum: hence the option. Rewards are
/// `β h`, not divided by the length in either case, as TRL logs them.
///
/// # Errors
/// As [`dpo()`](crate::dpo()).
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{Ipo, Normalization, ipo};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-10.0_f64]), dev.tensor([-12.0]), &[5], &[8])?;
/// let reference = PairLogps::new(dev.tensor([-11.0_f64]), dev.tensor([-11.5]), &[5], &[8])?;
/// let mean = ipo(policy.clone(), reference.clone(), &Ipo::default())?;
/// assert!((mean.values()[0] - 22.44390625).abs() < 1e-12);
/// let sum = ipo(policy, reference, &Ipo::default().with_normalization(Normalization::Sum))?;
/// assert!((sum.values()[0] - 12.25).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn ipo<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: PairLogps<P, E, D>,
    config: &Ipo,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let (seen, lengths) = (Seen::of(&policy), Lengths::of(&policy));
    let ratios = log_ratios(policy, &reference)?;
    let diagnostics = seen.with_scores(&ratios, config.beta)?;
    let scores = match config.normalization {
        Normalization::Mean => lengths.average(ratios)?,
        Normalization::Sum => ratios,
    };
    let target = scalar::<E>(0.5 / config.beta)?;
    let distance = margin(scores, 1.0)?.try_sub(target).map_err(CoreError::device)?;
    let losses = distance.try_square().map_err(CoreError::device)?;
    let weights = vec![1.0; diagnostics.rows()];
    Ok(LossTerms::new(losses, weights, diagnostics)?)
}
