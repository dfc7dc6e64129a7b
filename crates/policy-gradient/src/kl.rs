//! Estimates of the KL divergence from the reference, and where they are put.

use serde::{Deserialize, Serialize};
use tropism_core::options::{not_negative, optional, positive};
use tropism_core::{CoreError, OptionError};

use crate::PolicyGradientError;

/// An estimate of `KL(π ‖ π_ref)` from one sampled token, with `d = logp_ref − logp`.
///
/// | name | value | slope in `logp` | |
/// |---|---|---|---|
/// | `k1` | `−d` | 1 | unbiased, of any sign |
/// | `k2` | `d² / 2` | `−d` | its slope is an unbiased gradient of the KL on samples of the policy |
/// | `k3` | `e^d − d − 1` | `1 − e^d` | unbiased, never below 0 |
///
/// ```
/// use tropism_policy_gradient::Estimator;
///
/// assert_eq!(Estimator::K1.at(-0.5), (0.5, 1.0));
/// assert_eq!(Estimator::K2.at(-0.5), (0.125, 0.5));
/// let (value, slope) = Estimator::K3.at(1e-9);
/// assert!((value - 0.5e-18).abs() < 1e-24 && (slope + 1e-9).abs() < 1e-17);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Estimator {
    /// The log-ratio.
    K1,
    /// Half the squared log-ratio.
    K2,
    /// The log-ratio plus a control variate.
    #[default]
    K3,
}

impl Estimator {
    /// Value, and slope in the policy's log-probability, at `d = logp_ref − logp`.
    pub fn at(self, d: f64) -> (f64, f64) {
        match self {
            Self::K1 => (-d, 1.0),
            Self::K2 => (0.5 * d * d, -d),
            Self::K3 => (excess(d), -d.exp_m1()),
        }
    }
}

/// `e^d − 1 − d`, without cancellation near 0.
pub(crate) fn excess(d: f64) -> f64 {
    if d.abs() > 1e-2 {
        return d.exp_m1() - d;
    }
    // The next term is below 1e-16 of the first.
    let tail = 1.0 + d / 6.0 * (1.0 + d / 7.0 * (1.0 + d / 8.0));
    0.5 * d * d * (1.0 + d / 3.0 * (1.0 + d / 4.0 * (1.0 + d / 5.0 * tail)))
}

/// What a KL term in the loss is multiplied by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KlWeighting {
    /// Nothing: the samples count as the policy's own.
    #[default]
    None,
    /// The importance ratio, with its gradient: the estimate is then unbiased on samples of the old policy.
    Ratio,
}

/// A KL term in the loss: `coefficient · estimate`, per token, aggregated like the policy term.
///
/// The term is added after entropy and off-policy masks and without the sampler's correction, as TRL does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KlPenalty {
    /// Its weight; 0 leaves it out, and then no reference is read. 0.04 by default.
    pub coefficient: f64,
    /// The estimate; k3 by default.
    pub estimator: Estimator,
    /// The bias correction; none by default.
    pub weighting: KlWeighting,
    /// Estimates beyond ± this bound are cut, and have no gradient; not cut by default.
    pub clamp: Option<f64>,
}

impl Default for KlPenalty {
    fn default() -> Self {
        Self { coefficient: 0.04, estimator: Estimator::K3, weighting: KlWeighting::None, clamp: None }
    }
}

impl KlPenalty {
    /// No KL term.
    pub fn none() -> Self {
        Self { coefficient: 0.0, ..Self::default() }
    }

    /// A term with this weight.
    #[must_use]
    pub fn of(coefficient: f64) -> Self {
        Self { coefficient, ..Self::default() }
    }

    /// Whether there is a term.
    pub fn is_on(&self) -> bool {
        self.coefficient != 0.0
    }

    /// Checks the numbers.
    pub(crate) fn check(method: &'static str, key: &'static str, value: &Self) -> Result<(), OptionError> {
        not_negative(method, key, &value.coefficient)?;
        optional(positive)(method, key, &value.clamp)
    }

    /// As [`check`](Self::check), for methods whose ratio cannot weight the term.
    pub(crate) fn check_unweighted(method: &'static str, key: &'static str, value: &Self) -> Result<(), OptionError> {
        Self::check(method, key, value)?;
        if value.weighting == KlWeighting::None {
            return Ok(());
        }
        let problem = "cannot be weighted by this method's ratio; set `weighting = \"none\"`".to_owned();
        Err(OptionError::Problem { method, key, problem })
    }

    /// Value and slope at `d = logp_ref − logp`.
    pub(crate) fn at(&self, d: f64) -> (f64, f64) {
        let (value, slope) = self.estimator.at(d);
        match self.clamp {
            Some(bound) if value.abs() > bound => (bound.copysign(value), 0.0),
            _ => (value, slope),
        }
    }
}

/// How a KL coefficient follows the divergence that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdaptiveKl {
    /// The divergence that is aimed at, in nats per completion.
    pub target: f64,
    /// Over how many completions the coefficient may change by a fifth.
    pub horizon: f64,
}

/// The KL coefficient after `completions` more completions with the measured `divergence`:
/// `coefficient · (1 + clip(divergence / target − 1, −0.2, 0.2) · completions / horizon)`.
///
/// Source: Ziegler et al. 2019, arXiv 1909.08593, section 2.2; OpenRLHF's controller.
///
/// # Errors
/// [`OptionError`] unless target and horizon are positive and finite; [`CoreError::NotFinite`] for a divergence that is not
/// finite.
///
/// ```
/// use tropism_policy_gradient::{AdaptiveKl, adapted_coefficient};
///
/// let config = AdaptiveKl { target: 2.0, horizon: 100.0 };
/// assert!((adapted_coefficient(0.5, 2.2, 50, &config)? - 0.525).abs() < 1e-12);
/// assert!((adapted_coefficient(0.5, 0.0, 50, &config)? - 0.45).abs() < 1e-12);
/// # Ok::<(), tropism_policy_gradient::PolicyGradientError>(())
/// ```
pub fn adapted_coefficient(
    coefficient: f64,
    divergence: f64,
    completions: usize,
    config: &AdaptiveKl,
) -> Result<f64, PolicyGradientError> {
    positive("adaptive_kl", "target", &config.target)?;
    positive("adaptive_kl", "horizon", &config.horizon)?;
    CoreError::check_finite("divergence", &[coefficient, divergence])?;
    let error = (divergence / config.target - 1.0).clamp(-0.2, 0.2);
    Ok(coefficient * (1.0 + error * completions as f64 / config.horizon))
}
