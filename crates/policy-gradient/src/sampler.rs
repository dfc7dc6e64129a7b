//! Correction for a sampler whose probabilities differ from the training code's.

use serde::{Deserialize, Serialize};
use tropism_core::OptionError;

use crate::row::{Row, mean};

/// What happens to ratios out of bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutOfBounds {
    /// They are moved to the bound.
    #[default]
    Truncate,
    /// They become 0: the token, or completion, is left out of the policy term.
    Mask,
}

/// Whose ratio is bounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CorrectionLevel {
    /// Each token's.
    #[default]
    Token,
    /// The completion's: the product over its tokens.
    Sequence,
}

/// Importance weights for samples of a sampler that computes other probabilities than the training code, for instance
/// because it runs in another precision: `w = π_old / π_sampler`, bounded, as a constant factor of the policy term.
///
/// ```text
/// token:    w_t = exp(logp_old − logp_sampler)          sequence: w = exp Σ_t (logp_old − logp_sampler)
/// truncate: clamp(w, floor, cap)                        mask: w if floor ≤ w ≤ cap, else 0
/// ```
///
/// KL terms and entropy bonus are not corrected, and denominators stay.
///
/// Source: truncated importance sampling, Yao et al. 2025; masked, IcePop; TRL's four modes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SamplerCorrection {
    /// By token or by completion; by token by default.
    pub level: CorrectionLevel,
    /// What is done out of bounds; truncation by default.
    pub out_of_bounds: OutOfBounds,
    /// Upper bound; 3 by default.
    pub cap: f64,
    /// Lower bound; 0 by default.
    pub floor: f64,
}

impl Default for SamplerCorrection {
    fn default() -> Self {
        Self { level: CorrectionLevel::Token, out_of_bounds: OutOfBounds::Truncate, cap: 3.0, floor: 0.0 }
    }
}

impl SamplerCorrection {
    /// Checks the bounds.
    pub(crate) fn check(method: &'static str, key: &'static str, value: &Self) -> Result<(), OptionError> {
        tropism_core::options::not_negative(method, key, &value.floor)?;
        if value.cap.is_finite() && value.cap > value.floor {
            return Ok(());
        }
        let problem = format!("has the cap {} and the floor {}; the cap must be above", value.cap, value.floor);
        Err(OptionError::Problem { method, key, problem })
    }

    /// The factor of each token.
    pub(crate) fn factors(&self, old: &[f64], sampler: &[f64]) -> Vec<f64> {
        let gaps: Vec<f64> = old.iter().zip(sampler).map(|(old, sampler)| old - sampler).collect();
        match self.level {
            CorrectionLevel::Token => gaps.iter().map(|gap| self.bound(gap.exp())).collect(),
            CorrectionLevel::Sequence => vec![self.bound(gaps.iter().sum::<f64>().exp()); gaps.len()],
        }
    }

    fn bound(&self, ratio: f64) -> f64 {
        match self.out_of_bounds {
            OutOfBounds::Truncate => ratio.clamp(self.floor, self.cap),
            OutOfBounds::Mask if (self.floor..=self.cap).contains(&ratio) => ratio,
            OutOfBounds::Mask => 0.0,
        }
    }
}

/// Mean `|logp_old − logp_sampler|` of a row.
pub(crate) fn mean_gap(row: &Row, sampler: &[f64]) -> f64 {
    mean(&row.old.iter().zip(sampler).map(|(a, b)| (a - b).abs()).collect::<Vec<f64>>())
}
