//! Process rewards: each step of a solution is right or wrong.

use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use tropism_core::{CoreError, Diagnostics, LossTerms, ScoreTable};

use crate::diagnostics::flag;
use crate::link::smoothed;
use crate::options::options;
use crate::{Batch, Column, Domain, InputKind, Method, ObjectiveError};

options! {
    /// Options of [`process_reward()`]: none.
    ProcessReward = "process_reward", "TRL's PRM trainer" {}
}

/// Whether a step is right, or how probably it is.
const LABEL: Column = Column::cell("label", Domain::Share);

impl Method for ProcessReward {
    const INPUT: InputKind = InputKind::ScoreTables;

    fn needs_reference(&self) -> bool {
        false
    }

    fn columns(&self) -> Vec<Column> {
        vec![LABEL]
    }

    fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        batch: Batch<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
        let (scores, columns) = batch.into_score_table(Self::NAME)?;
        process_reward(scores, columns.get(LABEL.name).unwrap_or_default(), self)
    }
}

/// Cross-entropy of the labels of a solution's steps, averaged over the labelled steps of the batch.
///
/// With scores `s` (log-odds that the step is right, read at the last token of each step), labels `y` from 0 to 1 and the mask
/// of the cells that end a step, both `[P, K]` row by row; `K` counts tokens or steps:
///
/// ```text
/// losses = −Σ_k mask [y log σ(s) + (1 − y) log σ(−s)]     weights = Σ_k mask     ∂losses/∂s = (σ(s) − y) mask
/// ```
///
/// A classifier with two logits has `s = logit(right) − logit(wrong)`. [`step_ends()`] gives mask and labels of a solution.
///
/// Reports `accuracies` (share of the row's steps on the right side of ½, a score of 0 being on none) and `steps`.
///
/// Source: the cross-entropy over two classes at step ends of TRL's PRM trainer, whose mean is over labelled tokens as well.
///
/// # Errors
/// [`ObjectiveError::Column`] for a label outside 0 to 1; [`ObjectiveError::Core`] for labels of another size.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::ScoreTable;
/// use tropism_objectives::{ProcessReward, process_reward, step_ends, TrainedSteps};
///
/// let (mask, labels) = step_ends(&[2, 1], &[1.0, 0.0], TrainedSteps::All)?;
/// let scores = Cpu::default().tensor([[f64::NAN, 3.0_f64.ln(), 0.0]]);
/// let loss = process_reward(ScoreTable::new(scores, &mask)?, &labels, &ProcessReward::default())?.mean()?;
/// assert!((loss.array() - 0.5 * ((4.0_f64 / 3.0).ln() + 2.0_f64.ln())).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn process_reward<P: Dim, K: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    scores: ScoreTable<P, K, E, D, T>,
    labels: &[f64],
    config: &ProcessReward,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    CoreError::check_size(LABEL.name, scores.mask().len(), labels.len())?;
    LABEL.check(ProcessReward::NAME, labels)?;
    let (columns, mask) = (scores.size().1, scores.mask());
    let (mut slopes, mut values) = (vec![0.0; labels.len()], Vec::new());
    let (mut right, mut counts) = (Vec::new(), Vec::new());
    for (row, found) in scores.values().chunks(columns).enumerate() {
        let (mut value, mut hits, mut count) = (0.0, 0.0, 0.0_f64);
        for (k, &s) in found.iter().enumerate().filter(|(k, _)| mask[row * columns + k]) {
            let label = labels[row * columns + k];
            let (loss, slope) = smoothed(s, 1.0 - label);
            slopes[row * columns + k] = slope;
            (value, count) = (value + loss, count + 1.0);
            hits += flag(s * (label - 0.5) > 0.0);
        }
        values.push(value);
        right.push(hits / count.max(1.0));
        counts.push(count);
    }
    let mut diagnostics = Diagnostics::default();
    diagnostics.push("accuracies", right)?;
    diagnostics.push("steps", counts.clone())?;
    Ok(LossTerms::new(scores.attach(&values, &slopes)?, counts, diagnostics)?)
}

/// Which steps of a solution are trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrainedSteps {
    /// All of them.
    #[default]
    All,
    /// The last one, with the verdict on the whole solution.
    Last,
}

/// Mask and labels by token of a solution, from the tokens and the label of each of its steps: the last token of a step
/// carries its label.
///
/// # Errors
/// [`ObjectiveError::Core`] unless there is one label per step and at least one step, and each step has a token.
///
/// ```
/// use tropism_objectives::{TrainedSteps, step_ends};
///
/// let (mask, labels) = step_ends(&[2, 1], &[1.0, 0.5], TrainedSteps::Last)?;
/// assert_eq!((mask, labels), (vec![false, false, true], vec![0.0, 0.0, 0.5]));
/// # Ok::<(), tropism_objectives::ObjectiveError>(())
/// ```
pub fn step_ends(tokens: &[usize], labels: &[f64], trained: TrainedSteps) -> Result<(Vec<bool>, Vec<f64>), ObjectiveError> {
    CoreError::check_size("labels of steps", tokens.len(), labels.len())?;
    if tokens.is_empty() || tokens.contains(&0) {
        return Err(CoreError::Empty { what: "solution, or a step of it," }.into());
    }
    let whole: usize = tokens.iter().sum();
    let (mut mask, mut by_token, mut end) = (vec![false; whole], vec![0.0; whole], 0);
    for (&n, &label) in tokens.iter().zip(labels) {
        end += n;
        if trained == TrainedSteps::All || end == whole {
            (mask[end - 1], by_token[end - 1]) = (true, label);
        }
    }
    Ok((mask, by_token))
}
