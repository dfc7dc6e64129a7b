//! Weighted sum of named rewards.

use serde::Serialize;

use crate::{Reward, RewardError};

/// One term of a weighted sum, for metrics.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Part {
    /// Name of the reward.
    pub name: String,
    /// Its weight.
    pub weight: f64,
    /// Its value before the weight, or `None` where it gave no verdict.
    pub score: Option<f64>,
}

/// A weighted sum with its terms.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Score {
    /// `Σ weight · score` over the parts that gave a verdict, or `None` when none did.
    pub total: Option<f64>,
    /// All parts in the order in which they were added.
    pub parts: Vec<Part>,
}

/// Adds up terms: `Σ weight · score` over the parts that have a score, `None` when none has.
///
/// # Errors
///
/// When there are no parts, when a weight or a score is NaN or infinite (the error names the part),
/// or when the sum overflows.
///
/// ```
/// use tropism_rewards::combine::{Part, weighted_sum};
///
/// let part = |name: &str, weight, score| Part { name: name.to_owned(), weight, score };
/// let parts = [part("correct", 1.0, Some(1.0)), part("length", 0.5, Some(-0.2)), part("judge", 1.0, None)];
/// assert_eq!(weighted_sum("reward", &parts), Ok(Some(0.9)));
/// let broken = weighted_sum("reward", &[part("judge", 1.0, Some(f64::NAN))]);
/// assert!(broken.is_err_and(|error| error.to_string().contains("`judge`")));
/// ```
pub fn weighted_sum(reward: &str, parts: &[Part]) -> Result<Option<f64>, RewardError> {
    if parts.is_empty() {
        return Err(RewardError::NoParts { reward: reward.to_owned() });
    }
    let mut total = None;
    for part in parts {
        finite(reward, &part.name, part.weight)?;
        if let Some(score) = part.score {
            finite(reward, &part.name, score)?;
            let term = finite(reward, &part.name, part.weight * score)?;
            total = Some(total.unwrap_or(0.0) + term);
        }
    }
    total.map(|value| finite(reward, reward, value)).transpose()
}

fn finite(reward: &str, part: &str, value: f64) -> Result<f64, RewardError> {
    if value.is_finite() {
        return Ok(value);
    }
    Err(RewardError::NotFinite { reward: reward.to_owned(), part: part.to_owned(), value })
}

/// A weighted sum of rewards, itself a [`Reward`].
///
/// A part without a verdict is left out of the sum; only when no part gives one does the sum give
/// none.
pub struct Combined {
    name: String,
    parts: Vec<(Box<dyn Reward>, f64)>,
}

impl Combined {
    /// A sum without parts yet.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), parts: Vec::new() }
    }

    /// Adds a part with a weight; a negative weight makes a reward a penalty.
    ///
    /// # Errors
    ///
    /// When the weight is NaN or infinite, or a part of this name is there already.
    pub fn with(mut self, reward: impl Reward + 'static, weight: f64) -> Result<Self, RewardError> {
        if !weight.is_finite() {
            return Err(RewardError::BadKey {
                reward: reward.name().to_owned(),
                key: "weight",
                value: weight,
                expected: "a finite number",
            });
        }
        if self.parts.iter().any(|(part, _)| part.name() == reward.name()) {
            return Err(RewardError::SameName { reward: self.name, part: reward.name().to_owned() });
        }
        self.parts.push((Box::new(reward), weight));
        Ok(self)
    }

    /// The sum and its terms for one completion.
    ///
    /// # Errors
    ///
    /// Those of the parts and of [`weighted_sum`].
    pub fn scores(&self, prompt: &str, completion: &str, truth: Option<&str>) -> Result<Score, RewardError> {
        let mut parts = Vec::with_capacity(self.parts.len());
        for (reward, weight) in &self.parts {
            parts.push(Part {
                name: reward.name().to_owned(),
                weight: *weight,
                score: reward.score(prompt, completion, truth)?,
            });
        }
        let total = weighted_sum(&self.name, &parts)?;
        Ok(Score { total, parts })
    }
}

impl Reward for Combined {
    fn name(&self) -> &str {
        &self.name
    }

    fn score(&self, prompt: &str, completion: &str, truth: Option<&str>) -> Result<Option<f64>, RewardError> {
        Ok(self.scores(prompt, completion, truth)?.total)
    }
}
