//! DAPO's penalty for completions near the longest length.

use serde::{Deserialize, Serialize};
use tropism_core::OptionError;

use crate::PolicyGradientError;

/// Where the penalty begins and where it is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SoftOverlong {
    /// The longest length, in tokens.
    pub max_length: usize,
    /// Over how many tokens before it the penalty grows.
    pub cache: usize,
}

impl Default for SoftOverlong {
    /// DAPO's: 20480 tokens, of which the last 4096 are penalised.
    fn default() -> Self {
        Self { max_length: 20480, cache: 4096 }
    }
}

/// The penalty of a completion of `length` tokens, from −1 to 0: 0 up to `max_length − cache`, then falling evenly to −1 at
/// `max_length`, −1 beyond.
///
/// Source: Yu et al. 2025, arXiv 2503.14476, section 3.4.
///
/// # Errors
/// [`PolicyGradientError::Option`] unless `cache` is from 1 to `max_length`.
///
/// ```
/// use tropism_policy_gradient::{SoftOverlong, soft_overlong};
///
/// let config = SoftOverlong { max_length: 100, cache: 20 };
/// let penalties = [80, 90, 100, 101].map(|length| soft_overlong(length, &config).unwrap_or(f64::NAN));
/// assert_eq!(penalties, [0.0, -0.5, -1.0, -1.0]);
/// ```
pub fn soft_overlong(length: usize, config: &SoftOverlong) -> Result<f64, PolicyGradientError> {
    let SoftOverlong { max_length, cache } = *config;
    if cache == 0 || cache > max_length {
        let problem = format!("is {cache}; it must be from 1 to `max_length`, {max_length}");
        return Err(OptionError::Problem { method: "soft_overlong", key: "cache", problem }.into());
    }
    let over = length.saturating_sub(max_length - cache);
    Ok(-(over as f64 / cache as f64).min(1.0))
}
