//! Reward models of several axes: regression of scores from 0 to 1.

use dfdx::prelude::*;
use tropism_core::numerics::sigmoid_scalar;
use tropism_core::{CoreError, Diagnostics, LossTerms, OptionError, ScoreTable};

use crate::PolicyGradientError;
use crate::options::options;

options! {
    /// Options of [`label_regression()`].
    LabelRegression = "label_regression" {
        /// How much each axis counts; 1 for each where none are given.
        costs: Vec<f64> = Vec::new(), with_costs, costs_hold;
    }
}

/// Costs are at least 0, and one is above.
fn costs_hold(method: &'static str, key: &'static str, costs: &[f64]) -> Result<(), OptionError> {
    costs.iter().try_for_each(|c| tropism_core::options::not_negative(method, key, c))?;
    if costs.is_empty() || costs.iter().any(|&c| c > 0.0) {
        return Ok(());
    }
    Err(OptionError::Problem { method, key, problem: "are all 0; give one that is positive".to_owned() })
}

/// Squared error of the sigmoids of `K` predicted logits of `P` answers, over the labels that are there.
///
/// With logits `z`, labels `y` from 0 to 1 (`[P, K]` row by row), the mask of the labels that are there and the axes' costs
/// `c`:
///
/// ```text
/// f = σ(z)        losses = Σ_k mask c_k (f_k − y_k)²        weights = Σ_k mask c_k
/// ∂losses/∂z = 2 c (f − y) f (1 − f)
/// ```
///
/// For regression without a sigmoid see `aspect_regression` of `tropism-objectives`. Combine the trained model's scores by
/// [`RewardTable`](crate::RewardTable). Reports `error`, the row's mean absolute error over the labels that are there.
///
/// Source: the reward model of multi-objective GRPO, 2025, arXiv 2503.21819; the form of its loss is not published, and this
/// one is our choice.
///
/// # Errors
/// [`PolicyGradientError::Option`]; [`PolicyGradientError::Entry`] for a label outside 0 to 1; [`PolicyGradientError::Core`]
/// for sizes.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::ScoreTable;
/// use tropism_policy_gradient::{LabelRegression, label_regression};
///
/// let logits = Cpu::default().tensor([[0.0_f64, 5.0]]);
/// let table = ScoreTable::new(logits.leaky_trace(), &[true, false])?;
/// let loss = label_regression(table, &[1.0, 0.0], &LabelRegression::default())?.mean()?;
/// assert_eq!(loss.array(), 0.25);
/// assert_eq!(loss.backward().get(&logits).array(), [[-0.25, 0.0]]);
/// # Ok::<(), tropism_policy_gradient::PolicyGradientError>(())
/// ```
pub fn label_regression<P: Dim, K: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    logits: ScoreTable<P, K, E, D, T>,
    labels: &[f64],
    config: &LabelRegression,
) -> Result<LossTerms<P, E, D, T>, PolicyGradientError> {
    config.check()?;
    let ((rows, axes), mask) = (logits.size(), logits.mask().to_vec());
    CoreError::check_size("labels", mask.len(), labels.len())?;
    if !config.costs.is_empty() {
        CoreError::check_size("costs", axes, config.costs.len())?;
    }
    let there: Vec<f64> = labels.iter().zip(&mask).map(|(&y, &m)| if m { y } else { 0.0 }).collect();
    PolicyGradientError::check_entries("labels", &there, |y| (0.0..=1.0).contains(&y), "from 0 to 1")?;
    let cost = |i: usize| config.costs.get(i % axes).copied().unwrap_or(1.0);
    let values = logits.values();
    let (mut losses, mut weights, mut errors) = (vec![0.0; rows], vec![0.0; rows], vec![0.0; rows]);
    let mut slopes = vec![0.0; mask.len()];
    for i in (0..mask.len()).filter(|&i| mask[i]) {
        let (f, g) = (sigmoid_scalar(values[i]), sigmoid_scalar(-values[i]));
        let gap = f - labels[i];
        losses[i / axes] += cost(i) * gap * gap;
        weights[i / axes] += cost(i);
        errors[i / axes] += gap.abs();
        slopes[i] = 2.0 * cost(i) * gap * f * g;
    }
    let counts = mask.chunks(axes).map(|row| row.iter().filter(|&&m| m).count().max(1) as f64);
    let mut diagnostics = Diagnostics::default();
    diagnostics.push("error", errors.iter().zip(counts).map(|(e, n)| e / n).collect())?;
    Ok(LossTerms::new(logits.attach(&losses, &slopes)?, weights, diagnostics)?)
}
