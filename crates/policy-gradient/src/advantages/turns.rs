//! Turn-level credit for agents: what a tool call earned goes to the tokens before its result.

use tropism_core::CoreError;
use tropism_core::options::{any, finite, not_negative};

use super::gae::rows_of;
use super::group::{Deviation, by_group, divided};
use crate::options::options;
use crate::{Groups, PolicyGradientError};

options! {
    /// Options of [`turn_mixture()`].
    TurnMixture = "turn_mixture" {
        /// Weight of the turn's advantage; 1 by default.
        coefficient: f64 = 1.0, with_coefficient, finite;
        /// Sample or population; a sample by default.
        deviation: Deviation = Deviation::Sample, with_deviation, any;
        /// What is added to deviations; 1e-4 by default.
        epsilon: f64 = 1e-4, with_epsilon, not_negative;
    }
}

/// Advantages of tokens from a reward for the turn and one for the outcome.
///
/// With `norm` the group's normalisation, `c` the coefficient, and `first_result[i]` the column at which the first tool
/// result of row `i` begins, if it has one:
///
/// ```text
/// A_t = norm(outcome) + c · norm(turn)   for counted tokens before the first result
/// A_t = norm(outcome)                    after it
/// A_t = norm(turn + outcome)             in rows without a result
/// ```
///
/// `mask` is `[rows, columns]` row by row and selects the tokens that the model wrote.
///
/// Source: multi-turn GRPO, Zeng et al. 2025, arXiv 2505.11821, as its code does it.
///
/// # Errors
/// [`PolicyGradientError::Option`]; [`CoreError::SizeMismatch`], [`CoreError::NotFinite`] for rewards.
///
/// ```
/// use tropism_policy_gradient::{Groups, TurnMixture, turn_mixture};
///
/// let config = TurnMixture::default().with_epsilon(0.0);
/// let groups = Groups::new(&[0, 0])?;
/// let found = turn_mixture(&[1.0, 0.0], &[0.0, 1.0], &[Some(1), Some(1)], &[true; 4], 2, &groups, &config)?;
/// assert_eq!(found[0], 0.0);
/// assert!((found[1] + 0.5_f64.sqrt()).abs() < 1e-12);
/// # Ok::<(), tropism_policy_gradient::PolicyGradientError>(())
/// ```
pub fn turn_mixture(
    turn: &[f64],
    outcome: &[f64],
    first_result: &[Option<usize>],
    mask: &[bool],
    columns: usize,
    groups: &Groups,
    config: &TurnMixture,
) -> Result<Vec<f64>, PolicyGradientError> {
    config.check()?;
    let rows = rows_of(mask, columns)?;
    groups.check_rows(rows)?;
    CoreError::check_size("first results", rows, first_result.len())?;
    for (what, rewards) in [("turn rewards", turn), ("outcome rewards", outcome)] {
        CoreError::check_size(what, rows, rewards.len())?;
        CoreError::check_finite(what, rewards)?;
    }
    let norm = |rewards: &[f64]| {
        let moments = by_group(rewards, groups);
        let of = |row: usize| {
            let group = &moments[groups.of(row)];
            divided(rewards[row] - group.mean, group.deviation(config.deviation.less()) + config.epsilon)
        };
        (0..rows).map(of).collect::<Vec<f64>>()
    };
    let sums: Vec<f64> = turn.iter().zip(outcome).map(|(t, o)| t + o).collect();
    let (turn, outcome, combined) = (norm(turn), norm(outcome), norm(&sums));
    let at = |i: usize| {
        let (row, column) = (i / columns, i % columns);
        match first_result[row] {
            _ if !mask[i] => 0.0,
            None => combined[row],
            Some(result) if column < result => outcome[row] + config.coefficient * turn[row],
            Some(_) => outcome[row],
        }
    };
    Ok((0..mask.len()).map(at).collect())
}
