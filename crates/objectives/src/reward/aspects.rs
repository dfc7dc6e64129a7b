//! Reward models of several aspects: regression on ratings of which some are missing.

use dfdx::prelude::*;
use tropism_core::{CoreError, Diagnostics, LossTerms, ScoreTable};

use crate::diagnostics::flag;
use crate::options::options;
use crate::{Batch, Column, Domain, InputKind, Method, ObjectiveError};

options! {
    /// Options of [`aspect_regression()`]: none.
    AspectRegression = "aspect_regression", "Arithmetic Control of LLMs for Diverse User Preferences: Directional Preference Alignment with Multi-Objective Rewards, arXiv 2402.18571" {}
}

const TARGET: Column = Column::cell("target", Domain::Any);

impl Method for AspectRegression {
    const INPUT: InputKind = InputKind::ScoreTables;

    fn needs_reference(&self) -> bool {
        false
    }

    fn columns(&self) -> Vec<Column> {
        vec![TARGET]
    }

    fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        batch: Batch<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
        let (scores, columns) = batch.into_score_table(Self::NAME)?;
        aspect_regression(scores, columns.get(TARGET.name).unwrap_or_default(), self)
    }
}

/// Squared error of `K` predicted ratings of `P` answers, averaged over the ratings of the step that are there.
///
/// With predictions `p`, targets `y` (`[P, K]` row by row) and the mask of the ratings that are there:
///
/// ```text
/// losses = Σ_k mask (p − y)²        weights = Σ_k mask        ∂losses/∂p = 2 (p − y) mask
/// ```
///
/// Reports `error` (the row's mean absolute error) and `ratings` (how many there are).
///
/// Source: the reward model of directional preference alignment, Wang et al. 2024, arXiv 2402.18571, with missing ratings left out.
///
/// # Errors
/// [`ObjectiveError::Core`] for targets of another size, or a loss that is not finite.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::ScoreTable;
/// use tropism_objectives::{AspectRegression, aspect_regression};
///
/// let dev = Cpu::default();
/// let predicted = dev.tensor([[70.0_f64, 50.0, 30.0], [40.0, 60.0, 55.0]]);
/// let table = ScoreTable::new(predicted.leaky_trace(), &[true, true, false, true, false, true])?;
/// let targets = [90.0, 50.0, 0.0, 30.0, 0.0, 70.0];
/// let loss = aspect_regression(table, &targets, &AspectRegression::default())?.mean()?;
/// assert!((loss.array() - 181.25).abs() < 1e-9);
/// assert_eq!(loss.backward().get(&predicted).array(), [[-10.0, 0.0, 0.0], [5.0, 0.0, -7.5]]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn aspect_regression<P: Dim, K: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    scores: ScoreTable<P, K, E, D, T>,
    targets: &[f64],
    config: &AspectRegression,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    CoreError::check_size(TARGET.name, scores.mask().len(), targets.len())?;
    TARGET.check(AspectRegression::NAME, targets)?;
    let columns = scores.size().1;
    let cells = scores.values().into_iter().zip(targets).zip(scores.mask());
    let gaps: Vec<f64> = cells.map(|((p, y), &m)| if m { p - y } else { 0.0 }).collect();
    let by_row = |f: fn(f64) -> f64| gaps.chunks(columns).map(|r| r.iter().map(|&g| f(g)).sum()).collect::<Vec<f64>>();
    let (values, errors) = (by_row(|g| g * g), by_row(f64::abs));
    let counts: Vec<f64> = scores.mask().chunks(columns).map(|r| r.iter().map(|&m| flag(m)).sum()).collect();
    let mut diagnostics = Diagnostics::default();
    diagnostics.push("error", errors.iter().zip(&counts).map(|(e, n)| e / n.max(1.0)).collect())?;
    diagnostics.push("ratings", counts.clone())?;
    let slopes: Vec<f64> = gaps.iter().map(|g| 2.0 * g).collect();
    Ok(LossTerms::new(scores.attach(&values, &slopes)?, counts, diagnostics)?)
}
