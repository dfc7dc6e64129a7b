//! Rewards of several functions, and advantages with what was done about groups that say nothing.

use serde::{Deserialize, Serialize};
use tropism_core::CoreError;

use crate::{Groups, PolicyGradientError};

/// Rewards of `K` functions for each of some completions, with the functions' weights.
///
/// NaN says that a function does not apply to a completion; a completion without any reward is left out of all statistics,
/// and its advantage is 0. A function with weight 0 is not read at all.
///
/// ```
/// use tropism_policy_gradient::RewardTable;
///
/// let rewards = RewardTable::new(&[1.0, 0.5, f64::NAN, 2.0], &[1.0, 2.0])?;
/// assert_eq!(rewards.sums(), [2.0, 4.0]);
/// # Ok::<(), tropism_policy_gradient::PolicyGradientError>(())
/// ```
#[derive(Clone, Debug)]
pub struct RewardTable {
    /// Row by row.
    values: Vec<f64>,
    weights: Vec<f64>,
    rows: usize,
}

impl RewardTable {
    /// Rewards row by row, and a weight for each function.
    ///
    /// # Errors
    /// [`CoreError::Empty`] without functions or rows; [`CoreError::SizeMismatch`] unless the rewards fill whole rows;
    /// [`PolicyGradientError::Entry`] for a reward or weight that is infinite, or a weight that is NaN.
    pub fn new(values: &[f64], weights: &[f64]) -> Result<Self, PolicyGradientError> {
        let functions = weights.len();
        if functions == 0 || values.is_empty() {
            return Err(CoreError::Empty { what: "rewards" }.into());
        }
        CoreError::check_size("rewards", values.len().div_ceil(functions) * functions, values.len())?;
        PolicyGradientError::check_entries("reward weights", weights, f64::is_finite, "finite")?;
        let rows = values.len() / functions;
        let used: Vec<usize> = (0..functions).filter(|&k| weights[k] != 0.0).collect();
        let kept = (0..rows).flat_map(|row| used.iter().map(move |k| (row, k)));
        let values: Vec<f64> = kept.map(|(row, k)| values[row * functions + k]).collect();
        PolicyGradientError::check_entries("rewards", &values, |r| !r.is_infinite(), "finite, or NaN where there is none")?;
        Ok(Self { values, weights: used.iter().map(|&k| weights[k]).collect(), rows })
    }

    /// One reward for each completion.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn single(values: &[f64]) -> Result<Self, PolicyGradientError> {
        Self::new(values, &[1.0])
    }

    /// Number of completions.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Weights of the functions that are used.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// The rewards of one used function.
    pub(crate) fn of(&self, function: usize) -> Vec<f64> {
        self.values.chunks(self.weights.len().max(1)).map(|row| row[function]).collect()
    }

    /// The weighted sum for each completion; NaN where no function applies.
    pub fn sums(&self) -> Vec<f64> {
        let each = |row: usize| {
            let k = self.weights.len();
            let given = self.values[row * k..(row + 1) * k].iter().zip(&self.weights).filter(|(r, _)| !r.is_nan());
            given.map(|(r, w)| r * w).reduce(|a, b| a + b).unwrap_or(f64::NAN)
        };
        (0..self.rows()).map(each).collect()
    }
}

/// What is done with a group whose rewards are all equal, so that it says nothing about what is better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ZeroVariance {
    /// Its advantages are exactly 0; its rows stay in the denominators of the loss.
    #[default]
    Zero,
    /// Its rows are dropped from the loss and from its denominators.
    Drop,
    /// It is an error that names the group.
    Refuse,
}

/// Advantages per completion.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Advantages {
    /// One per completion.
    pub values: Vec<f64>,
    /// Completions that the loss should keep; see [`Rollout::with_kept`](crate::Rollout::with_kept).
    pub kept: Vec<bool>,
    /// Groups.
    pub groups: usize,
    /// Groups whose rewards are all equal.
    pub zero_variance: usize,
    /// Completions without a reward.
    pub unscored: usize,
}

impl Advantages {
    /// The share of groups whose rewards are all equal; TRL's `frac_reward_zero_std`.
    pub fn frac_reward_zero_std(&self) -> f64 {
        self.zero_variance as f64 / self.groups as f64
    }

    /// Advantages of `rewards` by `value`, which sees each scored row, with the policy for groups without variance.
    pub(crate) fn of(
        rewards: &[f64],
        groups: &Groups,
        policy: ZeroVariance,
        value: impl Fn(usize) -> f64,
    ) -> Result<Self, PolicyGradientError> {
        let scored = |row: usize| !rewards[row].is_nan();
        let values = (0..rewards.len()).map(|row| if scored(row) { value(row) } else { 0.0 }).collect();
        let mut found = Self {
            values,
            kept: vec![true; rewards.len()],
            groups: groups.len(),
            zero_variance: 0,
            unscored: (0..rewards.len()).filter(|&row| !scored(row)).count(),
        };
        for (group, members) in groups.members().iter().enumerate() {
            if !is_flat(rewards, members) {
                continue;
            }
            found.zero_variance += 1;
            match policy {
                ZeroVariance::Zero => {}
                ZeroVariance::Drop => members.iter().for_each(|&row| found.kept[row] = false),
                ZeroVariance::Refuse => {
                    let problem = "has equal rewards; drop it before, or set `zero_variance`".to_owned();
                    return Err(PolicyGradientError::Group { group, problem });
                }
            }
        }
        Ok(found)
    }
}

/// Whether all rewards of some rows that are there are equal.
pub(crate) fn is_flat(rewards: &[f64], rows: &[usize]) -> bool {
    let mut there = rows.iter().map(|&row| rewards[row]).filter(|r| !r.is_nan());
    let first = there.next();
    there.all(|r| Some(r) == first)
}

/// Mean and deviation of the numbers that are there; of equal numbers exactly, so that their deviation is 0.
pub(crate) struct Moments {
    pub(crate) mean: f64,
    /// Sum of squared distances from the mean.
    squares: f64,
    n: f64,
}

impl Moments {
    pub(crate) fn of(values: impl Iterator<Item = f64> + Clone) -> Self {
        let there: Vec<f64> = values.filter(|v| !v.is_nan()).collect();
        let n = there.len() as f64;
        let flat = there.iter().all(|v| Some(v) == there.first());
        // The rounded mean of equal numbers may differ from them.
        let mean = if flat { there.first().copied().unwrap_or(0.0) } else { there.iter().sum::<f64>() / n };
        Self { mean, squares: there.iter().map(|v| (v - mean) * (v - mean)).sum(), n }
    }

    /// Standard deviation that divides by `n − less`.
    pub(crate) fn deviation(&self, less: f64) -> f64 {
        if self.n <= less { 0.0 } else { (self.squares / (self.n - less)).sqrt() }
    }
}
