//! Step rewards, and advantages of steps and episodes together.

use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use tropism_core::options::{any, not_negative};
use tropism_core::{CoreError, TokenLogps};

use super::episodes::{Episodes, Trajectory};
use crate::CreditError;
use crate::figures::{log_ratios, row_sums};
use crate::method::options;

/// Implicit rewards of steps, `β Σ_t clip(lp_t − old_t)` over a step's tokens, in nats times `β`: one row per step.
///
/// `model` is the process reward model after its update, `policy` the snapshot that took the steps. `clip`, if any, bounds each
/// token's log-ratio on both sides. No gradient. Rewards are comparable within one iteration only, since the snapshot moves.
///
/// Source: arXiv 2509.19199. For token rewards take [`token_credits`](crate::token_credits).
///
/// # Errors
/// [`CreditError::Value`] for a `beta` or `clip` that is not positive; [`CreditError::UnevenMasks`]; [`CreditError::Core`]
/// for sizes that differ.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::TokenLogps;
/// use tropism_credit::step_rewards;
///
/// let tokens = |v: [[f64; 2]; 2]| TokenLogps::new(Cpu::default().tensor(v), &[true; 4]);
/// let (model, policy) = (tokens([[-1.0, -1.0], [-9.0, -1.0]])?, tokens([[-2.0, -2.0], [-1.0, -1.0]])?);
/// assert_eq!(step_rewards(&model, &policy, 0.5, Some(4.0))?, [1.0, -2.0]);
/// # Ok::<(), tropism_credit::CreditError>(())
/// ```
pub fn step_rewards<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>, R: Tape<E, D>>(
    model: &TokenLogps<P, C, E, D, T>,
    policy: &TokenLogps<P, C, E, D, R>,
    beta: f64,
    clip: Option<f64>,
) -> Result<Vec<f64>, CreditError> {
    let positive = |x: f64| x > 0.0 && x.is_finite();
    CreditError::check_rows("beta of step rewards", &[beta], "positive and finite", positive)?;
    CreditError::check_rows("clip of step rewards", &[clip.unwrap_or(1.0)], "positive and finite", positive)?;
    let mut ratios = log_ratios("policy logps of the steps", model, policy)?;
    if let Some(clip) = clip {
        ratios.iter_mut().for_each(|q| *q = q.clamp(-clip, clip));
    }
    Ok(row_sums(&ratios, model.size().1).iter().map(|q| beta * q).collect())
}

/// Step rewards over the largest magnitude in the batch, `r / (max |r| + 1e-6)`: within −1 and 1.
///
/// Source: the authors' code of arXiv 2509.19199.
///
/// ```
/// let normalized = tropism_credit::normalized_step_rewards(&[0.1, -0.05]);
/// assert!((normalized[0] - 0.99999).abs() < 1e-8);
/// ```
pub fn normalized_step_rewards(rewards: &[f64]) -> Vec<f64> {
    let largest = rewards.iter().fold(0.0, |m: f64, r| m.max(r.abs()));
    rewards.iter().map(|r| r / (largest + 1e-6)).collect()
}

/// How a reward is compared with those of its group. A group has `n` trajectories with mean outcome and standard deviation
/// (Bessel-corrected) `m` and `σ`; for steps these are taken over the group's steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Estimator {
    /// `(r − m) / σ`, and 0 where `σ` is: the paper.
    #[default]
    Standardized,
    /// `n / (n − 1) (r − m)`, RLOO of the authors' code, for steps as well with the number of trajectories; 0 for a single one.
    LeaveOneOut,
    /// `r − m`, GRPO of the authors' code without division.
    Centered,
    /// `(r − m) / (σ + 1e-6)`, GRPO of the authors' code.
    Scaled,
}

/// Which step rewards make a group's mean and standard deviation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepBaseline {
    /// Those of all steps: the paper.
    #[default]
    AllSteps,
    /// The first of each trajectory, as in the authors' code.
    FirstSteps,
}

options! {
    /// Options of [`step_advantages`].
    StepAdvantages = "step_advantages" {
        /// Weight of the step part, `α ≥ 0`; 1 by default, 0 leaves the episode part alone.
        alpha: f64 = 1.0, with_alpha, not_negative;
        /// How rewards are compared with those of their group; `"standardized"` by default.
        estimator: Estimator = Estimator::Standardized, with_estimator, any;
        /// Which step rewards make the baseline: `"all_steps"` (the default) or `"first_steps"`.
        baseline: StepBaseline = StepBaseline::AllSteps, with_baseline, any;
    }
}

/// Advantage of each step, `A_E(trajectory) + α A_S(step)`, to be given to all of its tokens.
///
/// `A_E` compares the trajectory's outcome with those of its group, `A_S` the step's reward with the group's step rewards, both
/// by the estimator. Groups in which all outcomes (or step rewards) are equal get 0 in that part. One entry of `rewards` per
/// step; normalise them first where the estimator does not divide by a standard deviation. No gradient.
///
/// Source: arXiv 2509.19199 by default; the authors' code is `leave_one_out` with `first_steps`.
///
/// # Errors
/// [`CreditError::Option`]; [`CreditError::Core`] unless there is one finite reward per step.
///
/// ```
/// use tropism_credit::{Episodes, StepAdvantages, step_advantages};
///
/// let episodes = Episodes::new(&[0, 0, 1, 1], &[0; 4], &[1.0, 1.0, 0.0, 0.0])?;
/// let flat = step_advantages(&[0.2; 4], &episodes, &StepAdvantages::default())?;
/// assert!((flat[0] - 0.5_f64.sqrt()).abs() < 1e-15 && flat[0] == -flat[3]);
/// # Ok::<(), tropism_credit::CreditError>(())
/// ```
pub fn step_advantages(rewards: &[f64], episodes: &Episodes, config: &StepAdvantages) -> Result<Vec<f64>, CreditError> {
    config.check()?;
    CoreError::check_size("step rewards", episodes.rows(), rewards.len())?;
    CoreError::check_finite("step reward", rewards)?;
    let mut advantages = vec![0.0; rewards.len()];
    for group in episodes.groups() {
        let outcomes: Vec<f64> = group.iter().map(|t| t.outcome).collect();
        let compared: Vec<f64> = group.iter().flat_map(|t| baseline(t, config.baseline)).map(|&row| rewards[row]).collect();
        let (episode, step) = (Compare::with(&outcomes, group.len()), Compare::with(&compared, group.len()));
        for trajectory in &group {
            let whole = episode.advantage(trajectory.outcome, config.estimator);
            for &row in &trajectory.steps {
                advantages[row] = whole + config.alpha * step.advantage(rewards[row], config.estimator);
            }
        }
    }
    Ok(advantages)
}

/// Rows whose rewards make the baseline.
fn baseline(trajectory: &Trajectory, which: StepBaseline) -> &[usize] {
    match which {
        StepBaseline::AllSteps => &trajectory.steps,
        StepBaseline::FirstSteps => &trajectory.steps[..1],
    }
}

/// What values are compared with.
struct Compare {
    mean: f64,
    std: f64,
    trajectories: f64,
}

impl Compare {
    fn with(values: &[f64], trajectories: usize) -> Self {
        let n = values.len() as f64;
        // Exact where all are alike, so that rounding makes no deviation.
        let alike = values.windows(2).all(|w| w[0] == w[1]);
        let mean = if alike { values[0] } else { values.iter().sum::<f64>() / n };
        let squares = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
        Self { mean, std: (squares / (n - 1.0).max(1.0)).sqrt(), trajectories: trajectories as f64 }
    }

    fn advantage(&self, value: f64, estimator: Estimator) -> f64 {
        let centred = value - self.mean;
        match estimator {
            Estimator::Standardized if self.std == 0.0 => 0.0,
            Estimator::Standardized => centred / self.std,
            Estimator::LeaveOneOut if self.trajectories < 2.0 => 0.0,
            Estimator::LeaveOneOut => self.trajectories / (self.trajectories - 1.0) * centred,
            Estimator::Centered => centred,
            Estimator::Scaled => centred / (self.std + 1e-6),
        }
    }
}
