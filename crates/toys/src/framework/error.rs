//! What keeps a toy from its figures.

use tropism_core::CoreError;
use tropism_credit::CreditError;
use tropism_diffusion::DiffusionError;
use tropism_diffusion::denoiser::DenoiserError;
use tropism_evaluation::EvaluationError;
use tropism_objectives::ObjectiveError;
use tropism_policy_gradient::PolicyGradientError;

/// Why a toy could not be run or judged.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ToyError {
    /// From the containers and numerics.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// From a loss.
    #[error(transparent)]
    Objective(#[from] ObjectiveError),
    /// From a loss with credit for tokens or steps.
    #[error(transparent)]
    Credit(#[from] CreditError),
    /// From advantages or a policy-gradient loss.
    #[error(transparent)]
    PolicyGradient(#[from] PolicyGradientError),
    /// From a denoiser, its sampler or its loss.
    #[error(transparent)]
    Diffusion(#[from] DiffusionError),
    /// From the intervals.
    #[error(transparent)]
    Evaluation(#[from] EvaluationError),
    /// A parameter or a gradient left the numbers.
    #[error("{what} became {value} at step {step}; take smaller steps")]
    Diverged {
        /// gradient or parameter
        what: &'static str,
        /// steps made before
        step: usize,
        /// its value
        value: f64,
    },
    /// Training ended before it met its condition.
    #[error("{what} was not reached within {steps} steps")]
    NotReached {
        /// the condition
        what: &'static str,
        /// steps made
        steps: usize,
    },
    /// One seed measured other figures than the first one.
    #[error("seed {seed} of toy `{toy}` measured other figures than the first seed: every seed has to measure the same")]
    Uneven {
        /// the toy's row
        toy: &'static str,
        /// the seed
        seed: u64,
    },
    /// A figure that is no number.
    #[error("figure `{figure}` of toy `{toy}` is {value} under seed {seed}")]
    NotFinite {
        /// the toy's row
        toy: &'static str,
        /// the figure
        figure: String,
        /// the seed
        seed: u64,
        /// its value
        value: f64,
    },
    /// A relation about a figure that no run measures.
    #[error("toy `{toy}` states a relation about `{figure}`, which it does not measure")]
    NoFigure {
        /// the toy's row
        toy: &'static str,
        /// the figure
        figure: &'static str,
    },
    /// A number of seeds that cannot be run.
    #[error("toy `{toy}` cannot be run with {seeds} seeds from {first} on: {problem}")]
    Seeds {
        /// the toy's row
        toy: &'static str,
        /// the first seed
        first: u64,
        /// how many
        seeds: usize,
        /// what is wrong
        problem: &'static str,
    },
    /// A thread that ran a seed ended without a result.
    #[error("seed {seed} of toy `{toy}` ended without figures; this is a defect")]
    Lost {
        /// the toy's row
        toy: &'static str,
        /// the seed
        seed: u64,
    },
}

impl From<DenoiserError> for ToyError {
    fn from(error: DenoiserError) -> Self {
        ToyError::Diffusion(error.into())
    }
}
