//! BRAIn: a reward-conditioned posterior, distilled by self-normalised importance weights.

use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use tropism_core::{CoreError, ListLogps, LossTerms};

use super::score::{ScoredLists, log_softmax};
use crate::options::{any, options, positive};
use crate::{Batch, Column, Domain, InputKind, Method, Normalization, ObjectiveError};

/// The distribution that the answers were sampled from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proposal {
    /// The reference model.
    #[default]
    Reference,
    /// Another one, whose log-probabilities are the column `proposal_logp`.
    Column,
}

options! {
    /// Options of [`brain()`].
    Brain = "brain", "BRAIn: Bayesian Reward-conditioned Amortized Inference for Natural Language Generation from Feedback, arXiv 2402.02479" {
        /// Temperature of the rewards, `γ > 0`; 1 by default, for rewards of variance 1.
        gamma: f64 = 1.0, with_gamma, positive;
        /// Where the answers came from; the reference by default.
        proposal: Proposal = Proposal::Reference, with_proposal, any;
    }
}

const REWARD: Column = Column::cell("reward", Domain::Any);
/// Log-probability of each answer under the distribution it was sampled from, summed over tokens.
const PROPOSAL: Column = Column::cell("proposal_logp", Domain::Any);

impl Method for Brain {
    const INPUT: InputKind = InputKind::Lists;

    fn needs_reference(&self) -> bool {
        true
    }

    fn columns(&self) -> Vec<Column> {
        match self.proposal {
            Proposal::Reference => vec![REWARD],
            Proposal::Column => vec![REWARD, PROPOSAL],
        }
    }

    fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        batch: Batch<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
        let (policy, reference, columns) = batch.into_lists(Self::NAME)?;
        let reference = crate::batch::need(Self::NAME, reference)?;
        brain(policy, reference, columns.get(REWARD.name).unwrap_or_default(), columns.get(PROPOSAL.name), self)
    }
}

/// The BRAIn loss of `P` prompts with up to `K` sampled completions and their rewards `r`.
///
/// With `lp` of the policy, `rf` of the reference (the prior) and `pp` of the proposal, all summed over tokens, in nats:
///
/// ```text
/// α = softmax(rf + r/γ − pp)     no gradient
/// β = softmax(lp − pp)
/// losses = KL(α ‖ β) = Σ_i α_i (log α_i − log β_i)     weights = 1
/// ∂losses/∂lp_i = β_i − α_i
/// ```
///
/// Under `proposal = "reference"` `pp = rf`: a softmax of rewards against a softmax of log-ratios. No `β` multiplies the
/// log-ratios; `γ` alone sets how strong the KL penalty is. Samples that occur twice count twice. The loss is 0 exactly where
/// `lp − rf = r/γ` up to a constant of the prompt; a prompt with one sample has the loss 0.
///
/// Reports `rewards/top_accuracies`, `rewards/best` and `rewards/worst` of the log-ratios (answers in the order of their
/// rewards) and `counts`.
///
/// Source: Pandey et al. 2024, arXiv 2402.02479; the gradient is the one of the authors' released estimator. Paper and code
/// agree.
///
/// # Errors
/// [`ObjectiveError::Config`]; [`ObjectiveError::MissingColumn`] or [`ObjectiveError::UnusedColumn`] when `proposal_logp` and
/// `proposal` do not go together; [`ObjectiveError::UnevenLengths`]; [`ObjectiveError::Core`] for sizes that differ.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::ListLogps;
/// use tropism_objectives::{Brain, brain};
///
/// let dev = Cpu::default();
/// let list = |v: [f64; 3]| ListLogps::new(dev.tensor([v]), &[true; 3], &[4; 3]);
/// let (policy, prior) = (list([-2.8, -2.9, -3.5])?, list([-3.0, -2.5, -4.0])?);
/// let terms = brain(policy, prior, &[1.0, 0.2, -0.5], None, &Brain::default().with_gamma(0.5))?;
/// assert!((terms.values()[0] - 0.5472016165).abs() < 1e-10);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn brain<P: Dim, K: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: ListLogps<P, K, E, D, T>,
    reference: ListLogps<P, K, E, D>,
    reward: &[f64],
    proposal: Option<&[f64]>,
    config: &Brain,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let (method, column, cells) = (Brain::NAME, PROPOSAL.name, policy.mask().len());
    CoreError::check_size(REWARD.name, cells, reward.len())?;
    REWARD.check(method, reward)?;
    let prior = reference.values();
    let proposal = match (config.proposal, proposal) {
        (Proposal::Reference, None) => prior.clone(),
        (Proposal::Reference, Some(_)) => return Err(ObjectiveError::UnusedColumn { method, column }),
        (Proposal::Column, None) => return Err(ObjectiveError::MissingColumn { method, column }),
        (Proposal::Column, Some(logps)) => logps.to_vec(),
    };
    CoreError::check_size(column, cells, proposal.len())?;
    PROPOSAL.check(method, &proposal)?;
    // lp − pp = (lp − rf) + (rf − pp)
    let offsets: Vec<f64> = prior.iter().zip(&proposal).map(|(r, p)| r - p).collect();
    let scored = ScoredLists::new(policy, &reference, Normalization::Sum)?;
    scored.by_list(1.0, reward, |cells, ratios| {
        let wanted: Vec<f64> = cells.iter().map(|&i| offsets[i] + reward[i] / config.gamma).collect();
        let found: Vec<f64> = cells.iter().zip(ratios).map(|(&i, h)| offsets[i] + h).collect();
        let (alpha, beta) = (log_softmax(&wanted), log_softmax(&found));
        let value = alpha.iter().zip(&beta).map(|(a, b)| a.exp() * (a - b)).sum();
        (value, alpha.iter().zip(&beta).map(|(a, b)| b.exp() - a.exp()).collect())
    })
}
