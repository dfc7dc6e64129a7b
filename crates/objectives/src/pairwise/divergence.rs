//! Scores of log-ratios under f-divergences.

use serde::{Deserialize, Serialize};
use tropism_core::OptionError;
use tropism_core::numerics::{log_sigmoid_scalar, sigmoid_scalar};

/// The divergence from the reference that the optimum trades against reward; it turns a log-ratio `h` into a score `s(h)`
/// with `s(0) = 0`, `s'(0) = 1` (½ for Jensen–Shannon).
///
/// In a configuration file: `"reverse_kl"`, `"forward_kl"`, `"js"`, or `{ alpha = 0.5 }`.
///
/// Source: Wang et al. 2023, arXiv 2309.16240; TRL's `f_divergence_type`, whose constants differ by the shift that makes
/// `s(0) = 0`. TRL's older `u^-alpha` score `(1 − e^{−a h})/a` is `alpha = 1 − a` here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Divergence {
    /// `s = h`: the KL divergence of the policy from the reference, as in DPO.
    #[default]
    ReverseKl,
    /// `s = 1 − e^{−h}`.
    ForwardKl,
    /// `s = log 2 + log σ(h)`: Jensen–Shannon.
    Js,
    /// `s = (e^{(α−1)h} − 1)/(α−1)`, with the exponent cut at 80 as in TRL; `α = 1` is `s = h`.
    Alpha(f64),
}

impl Divergence {
    /// Score and slope at a log-ratio.
    pub(crate) fn score(self, h: f64) -> (f64, f64) {
        match self {
            Self::ReverseKl => (h, 1.0),
            Self::ForwardKl => (-(-h).exp_m1(), (-h).exp()),
            Self::Js => (std::f64::consts::LN_2 + log_sigmoid_scalar(h), sigmoid_scalar(-h)),
            Self::Alpha(1.0) => (h, 1.0),
            Self::Alpha(alpha) => {
                let exponent = (alpha - 1.0) * h;
                let slope = if exponent <= 80.0 { exponent.exp() } else { 0.0 };
                (exponent.min(80.0).exp_m1() / (alpha - 1.0), slope)
            }
        }
    }

    /// Checks the coefficient.
    pub(crate) fn check(method: &'static str, key: &'static str, value: &Self) -> Result<(), OptionError> {
        match *value {
            Self::Alpha(alpha) => OptionError::check(alpha.is_finite(), (method, key, alpha), "finite"),
            _ => Ok(()),
        }
    }
}
