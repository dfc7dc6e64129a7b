//! Directional preference alignment: the best of several answers for a direction of rewards is learned.

use dfdx::prelude::*;
use tropism_core::{CoreError, Diagnostics, ListLogps, LossTerms};

use crate::options::options;
use crate::{Batch, Column, Domain, InputKind, Method, ObjectiveError};

options! {
    /// Options of [`dpa()`]: none.
    Dpa = "dpa", "Arithmetic Control of LLMs for Diverse User Preferences: Directional Preference Alignment with Multi-Objective Rewards, arXiv 2402.18571" {}
}

/// Reward of each answer along its prompt's direction.
const REWARD: Column = Column::cell("directed_reward", Domain::Any);

impl Method for Dpa {
    const INPUT: InputKind = InputKind::Lists;

    fn needs_reference(&self) -> bool {
        false
    }

    fn columns(&self) -> Vec<Column> {
        vec![REWARD]
    }

    fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        batch: Batch<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
        let (policy, _, columns) = batch.into_lists(Self::NAME)?;
        dpa(policy, columns.get(REWARD.name).unwrap_or_default(), self)
    }
}

/// The negative log-likelihood of the best of up to `K` answers to each of `P` prompts, each with a direction written into it.
///
/// With the reward `vᵀr` of each answer along the prompt's direction ([`Direction::rewards`], column `directed_reward`, `[P, K]`
/// row by row) and `y*` the answer with the largest one:
///
/// ```text
/// losses = −lp(y* | x, v)     weights = tokens of y*     ∂losses/∂lp(y*) = −1, 0 for the other answers
/// ```
///
/// The mean is over the tokens of all answers that were kept. Ties go to the first answer; the selection is not
/// differentiated. Rewards times a positive number, or moved by a constant per prompt, select the same. To save the other
/// answers' forward passes select with [`Direction::best`] and train with [`sft()`](crate::sft()): the loss is the same. A row
/// without answers adds nothing.
///
/// Reports `directed_rewards/kept`, `directed_rewards/mean` over the answers, `logps`, `lengths`.
///
/// Source: Arithmetic Control of LLMs for Diverse User Preferences: Directional Preference Alignment with Multi-Objective Rewards,
/// arXiv 2402.18571; the mean over tokens is our choice. Its reward model is [`aspect_regression()`](crate::aspect_regression()).
///
/// # Errors
/// [`ObjectiveError::Core`] unless there is one reward per place, or for rewards that are not finite.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::ListLogps;
/// use tropism_objectives::{Direction, Dpa, dpa};
///
/// let list = ListLogps::new(Cpu::default().tensor([[-9.0_f64, -4.4, -7.0]]), &[true; 3], &[5, 4, 6])?;
/// let rewards = Direction::degrees(-15.0)?.rewards(&[[60.0, 20.0], [72.0, 55.0], [80.0, 90.0]])?;
/// assert!((dpa(list, &rewards, &Dpa::default())?.mean()?.array() - 1.1).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn dpa<P: Dim, K: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: ListLogps<P, K, E, D, T>,
    directed_rewards: &[f64],
    config: &Dpa,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    CoreError::check_size(REWARD.name, policy.mask().len(), directed_rewards.len())?;
    REWARD.check(Dpa::NAME, directed_rewards)?;
    let (rows, places) = policy.size();
    let (values, mut slopes) = (policy.values(), vec![0.0; rows * places]);
    let [mut kept, mut mean, mut logps, mut lengths] = [const { Vec::new() }; 4];
    for row in 0..rows {
        let cells: Vec<usize> = (row * places..(row + 1) * places).filter(|&i| policy.mask()[i]).collect();
        let best = cells.iter().copied().reduce(|a, b| if directed_rewards[b] > directed_rewards[a] { b } else { a });
        best.into_iter().for_each(|i| slopes[i] = -1.0);
        kept.push(best.map_or(0.0, |i| directed_rewards[i]));
        mean.push(cells.iter().map(|&i| directed_rewards[i]).sum::<f64>() / cells.len().max(1) as f64);
        logps.push(best.map_or(0.0, |i| values[i]));
        lengths.push(best.map_or(0.0, |i| policy.lengths()[i] as f64));
    }
    let losses: Vec<f64> = logps.iter().map(|lp| -lp).collect();
    let mut diagnostics = Diagnostics::default();
    diagnostics.push("directed_rewards/kept", kept)?;
    diagnostics.push("directed_rewards/mean", mean)?;
    diagnostics.push("logps", logps)?;
    diagnostics.push("lengths", lengths.clone())?;
    Ok(LossTerms::new(policy.attach(&losses, &slopes)?, lengths, diagnostics)?)
}

/// What a user wants, as a unit vector in the plane of two rewards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Direction([f64; 2]);

impl Direction {
    /// The direction at an angle in degrees from the first reward.
    ///
    /// # Errors
    /// [`ObjectiveError::Config`] for an angle that is not finite.
    pub fn degrees(angle: f64) -> Result<Self, ObjectiveError> {
        crate::options::finite(Dpa::NAME, "angle", &angle)?;
        let (sin, cos) = angle.to_radians().sin_cos();
        Ok(Self([cos, sin]))
    }

    /// The unit vector.
    pub fn vector(self) -> [f64; 2] {
        self.0
    }

    /// The whole numbers that stand for the direction in a prompt: a hundred times the vector, rounded.
    ///
    /// ```
    /// use tropism_objectives::Direction;
    ///
    /// assert_eq!(Direction::degrees(-45.0)?.in_prompt(), [71, -71]);
    /// # Ok::<(), tropism_objectives::ObjectiveError>(())
    /// ```
    pub fn in_prompt(self) -> [i64; 2] {
        self.0.map(|v| (100.0 * v).round() as i64)
    }

    /// `vᵀr` of each answer.
    ///
    /// # Errors
    /// [`ObjectiveError::Core`] for a reward that is not finite.
    pub fn rewards(self, answers: &[[f64; 2]]) -> Result<Vec<f64>, ObjectiveError> {
        let rewards: Vec<f64> = answers.iter().map(|r| self.0[0] * r[0] + self.0[1] * r[1]).collect();
        CoreError::check_finite("reward", &rewards)?;
        Ok(rewards)
    }

    /// The answer with the largest reward along the direction; of equal ones the first.
    ///
    /// # Errors
    /// [`ObjectiveError::Core`] without answers, or for a reward that is not finite.
    pub fn best(self, answers: &[[f64; 2]]) -> Result<usize, ObjectiveError> {
        let rewards = self.rewards(answers)?;
        let best = (0..rewards.len()).reduce(|a, b| if rewards[b] > rewards[a] { b } else { a });
        best.ok_or_else(|| CoreError::Empty { what: "list of answers" }.into())
    }
}
