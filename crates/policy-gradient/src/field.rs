//! What a method can read from a rollout.

use std::fmt;

/// A part of a [`Rollout`](crate::Rollout) beside the policy's log-probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Field {
    /// Advantages per completion or token.
    Advantages,
    /// Log-probabilities of the policy that sampled, as the training code computes them.
    Old,
    /// Log-probabilities of the reference.
    Reference,
    /// Log-probabilities that the sampler itself reported.
    Sampler,
    /// Entropies of the policy's next-token distributions.
    Entropies,
    /// The quantile of the step's entropies.
    EntropyThreshold,
    /// Predictions of the critic with their targets.
    Critic,
    /// Rewards per completion.
    Rewards,
    /// Which completions answer the same prompt.
    Groups,
    /// The divergence from the old policy over the whole step.
    StepKl,
}

impl Field {
    /// The function of [`Rollout`](crate::Rollout) that adds it.
    pub(crate) fn setter(self) -> &'static str {
        match self {
            Self::Advantages => "with_advantages",
            Self::Old => "with_old",
            Self::Reference => "with_reference",
            Self::Sampler => "with_sampler",
            Self::Entropies => "with_entropies",
            Self::EntropyThreshold => "with_entropy_threshold",
            Self::Critic => "with_critic",
            Self::Rewards => "with_rewards",
            Self::Groups => "with_groups",
            Self::StepKl => "with_step_kl",
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Advantages => "advantages",
            Self::Old => "log-probabilities of the old policy",
            Self::Reference => "log-probabilities of a reference",
            Self::Sampler => "log-probabilities of the sampler",
            Self::Entropies => "entropies",
            Self::EntropyThreshold => "a threshold of the entropies",
            Self::Critic => "values of a critic",
            Self::Rewards => "rewards",
            Self::Groups => "groups",
            Self::StepKl => "the divergence of the step",
        })
    }
}

/// Whether a method can do without a [`Field`] that it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// It must be there.
    Required,
    /// It is used if it is there.
    Optional,
}

/// How the rows of a step hang together, and so how a step may be split into micro-batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Coupling {
    /// Rows are independent: any split.
    Rows,
    /// Rows of a group belong together: any split that keeps groups whole.
    Groups,
    /// The loss reads a figure of all rows: no split, unless the rollout brings the figure along
    /// ([`Rollout::with_entropy_threshold`](crate::Rollout::with_entropy_threshold),
    /// [`Rollout::with_step_kl`](crate::Rollout::with_step_kl)).
    Step,
}
