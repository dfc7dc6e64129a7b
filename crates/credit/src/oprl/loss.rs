//! The process reward model's loss: DPO between whole trajectories.

use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use tropism_core::numerics::{attach, log_sigmoid_scalar, sigmoid_scalar, to_f64};
use tropism_core::options::{any, positive};
use tropism_core::{Column, CoreError, Diagnostics, Domain, LossTerms, SequenceLogps};

use super::episodes::{Episodes, Trajectory};
use crate::figures::check_lengths;
use crate::method::options;
use crate::{CreditBatch, CreditError, CreditKind, CreditMethod, Normalization};

/// Which trajectories of a group are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pairing {
    /// Every success, an outcome above 0, with every failure.
    #[default]
    Success,
    /// Every trajectory with every one of a lower outcome, for graded outcomes.
    Ranked,
}

impl Pairing {
    fn prefers(self, one: &Trajectory, other: &Trajectory) -> bool {
        match self {
            Self::Success => one.outcome > 0.0 && other.outcome <= 0.0,
            Self::Ranked => one.outcome > other.outcome,
        }
    }
}

options! {
    /// Options of [`oprl()`].
    Oprl = "oprl", "OPRL: Online Process Reward Learning for Agentic RL, arXiv 2509.19199" {
        /// Inverse temperature of the step rewards, `β > 0`; 0.05 by default.
        beta: f64 = 0.05, with_beta, positive;
        /// Whether a trajectory's step rewards are summed (`"sum"`, the default and the paper) or averaged (`"mean"`, the
        /// released code).
        normalization: Normalization = Normalization::Sum, with_normalization, any;
        /// Which trajectories of a group are compared: `"success"` (the default) or `"ranked"`.
        pairing: Pairing = Pairing::Success, with_pairing, any;
    }
}

const TRAJECTORY: Column = Column::row("trajectory", Domain::Index);
const GROUP: Column = Column::row("group", Domain::Index);
const OUTCOME: Column = Column::row("outcome", Domain::Any);

impl CreditMethod for Oprl {
    const INPUT: CreditKind = CreditKind::Steps;

    fn columns(&self) -> Vec<Column> {
        vec![TRAJECTORY, GROUP, OUTCOME]
    }

    fn couples_rows(&self) -> bool {
        true
    }

    fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        batch: CreditBatch<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, CreditError> {
        // The columns were found to hold whole numbers.
        let whole = |column| batch.column(column).iter().map(|&v| v as usize).collect::<Vec<usize>>();
        let episodes = Episodes::new(&whole(&TRAJECTORY), &whole(&GROUP), &batch.column(&OUTCOME))?;
        let (model, policy) = batch.into_steps(Self::NAME)?;
        oprl(model, policy, &episodes, self)
    }
}

/// The loss of a process reward model that is a language model, on `P` steps of agents.
///
/// With `lp_k` and `old_k` the log-probabilities of step `k`'s tokens under the reward model and under the policy that took
/// the step (columns `trajectory`, `group`, `outcome`, one entry per step; `trajectory` counts over the whole batch):
///
/// ```text
/// r_k = β (lp_k − old_k)     Q(τ) = Σ_{k ∈ τ} r_k (sum), or its mean over the steps
/// loss of a pair = log(1 + e^{−(Q(τ⁺) − Q(τ⁻))}),   for all pairs of a group that `pairing` makes
/// ∂/∂lp_k = −β Σ_pairs σ(−(Q⁺ − Q⁻)) for steps of τ⁺, + for steps of τ⁻     (mean: over the number of steps)
/// ```
///
/// Pairs never cross groups, and the denominator is the number of pairs: half of a pair's loss and half of its weight
/// belong to each side, in equal parts to the steps. Without any pair all weights are 0. Groups must stay together when a
/// step is split. Reports `step_rewards` and `trajectory_scores` (`Q`).
///
/// The released code detaches the log-ratios, so that its reward model never learns; here the gradient flows, as in the
/// paper. Score steps after the update ([`step_rewards`](crate::step_rewards)).
///
/// Source: arXiv 2509.19199; pairs of all successes with all failures as in the authors' code.
///
/// # Errors
/// [`CreditError::Option`]; [`CreditError::Trajectory`]; [`CreditError::UnevenLengths`]; [`CreditError::Core`] for sizes that
/// differ.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::SequenceLogps;
/// use tropism_credit::{Episodes, Oprl, oprl};
///
/// let dev = Cpu::default();
/// let model = SequenceLogps::new(dev.tensor([2.0_f64, -1.0, 0.5, 1.5, 1.0, -2.0, -0.5]), &[3; 7])?;
/// let policy = SequenceLogps::new(dev.tensor([0.0; 7]), &[3; 7])?;
/// let outcomes = [1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0];
/// let episodes = Episodes::new(&[0, 0, 1, 1, 1, 2, 2], &[0; 7], &outcomes)?;
/// let terms = oprl(model, policy, &episodes, &Oprl::default())?;
/// assert!((terms.mean()?.array() - 0.587270549176).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn oprl<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    model: SequenceLogps<P, E, D, T>,
    policy: SequenceLogps<P, E, D>,
    episodes: &Episodes,
    config: &Oprl,
) -> Result<LossTerms<P, E, D, T>, CreditError> {
    config.check()?;
    CoreError::check_size("policy logps", model.rows(), policy.rows())?;
    CoreError::check_size("steps of the trajectories", model.rows(), episodes.rows())?;
    check_lengths("step of the policy", &to_f64(&model.lengths), &to_f64(&policy.lengths))?;
    let (own, old) = (to_f64(&model.logps), to_f64(&policy.logps));
    let rewards: Vec<f64> = own.iter().zip(&old).map(|(lp, old)| config.beta * (lp - old)).collect();
    let found = Compared::of(episodes, &rewards, config);
    let mut diagnostics = Diagnostics::default();
    diagnostics.push("step_rewards", rewards)?;
    diagnostics.push("trajectory_scores", found.scores)?;
    let losses = attach(&found.losses, [(model.logps, found.slopes)])?;
    Ok(LossTerms::new(losses, found.weights, diagnostics)?)
}

/// Figures of each step.
struct Compared {
    losses: Vec<f64>,
    weights: Vec<f64>,
    slopes: Vec<f64>,
    scores: Vec<f64>,
}

impl Compared {
    fn of(episodes: &Episodes, rewards: &[f64], config: &Oprl) -> Self {
        let zeros = vec![0.0; rewards.len()];
        let mut found = Self { losses: zeros.clone(), weights: zeros.clone(), slopes: zeros.clone(), scores: zeros };
        // What a step counts for in its trajectory's score.
        let share = |trajectory: &Trajectory| match config.normalization {
            Normalization::Sum => 1.0,
            Normalization::Mean => 1.0 / trajectory.steps.len() as f64,
        };
        let score = |t: &Trajectory| share(t) * t.steps.iter().map(|&row| rewards[row]).sum::<f64>();
        for group in episodes.groups() {
            for winner in &group {
                let q = score(winner);
                winner.steps.iter().for_each(|&row| found.scores[row] = q);
                for loser in group.iter().filter(|other| config.pairing.prefers(winner, other)) {
                    let margin = q - score(loser);
                    let pull = config.beta * sigmoid_scalar(-margin);
                    found.add(winner, -log_sigmoid_scalar(margin), -pull * share(winner));
                    found.add(loser, -log_sigmoid_scalar(margin), pull * share(loser));
                }
            }
        }
        found
    }

    /// One side of a pair: half of its loss and weight, shared out over the steps.
    fn add(&mut self, trajectory: &Trajectory, loss: f64, slope: f64) {
        let half = 0.5 / trajectory.steps.len() as f64;
        for &row in &trajectory.steps {
            self.losses[row] += half * loss;
            self.weights[row] += half;
            self.slopes[row] += slope;
        }
    }
}
