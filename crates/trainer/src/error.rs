//! What ends a run.
use std::path::PathBuf;
use tropism_core::CoreError;
use tropism_credit::CreditError;
use tropism_data::DataError;
use tropism_diffusion::DiffusionError;
use tropism_diffusion::denoiser::DenoiserError;
use tropism_lm::LmError;
use tropism_objectives::ObjectiveError;
use tropism_ops::OpsError;
use tropism_policy_gradient::PolicyGradientError;

/// Errors of training.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// An option of a stage.
    #[error("stage `{stage}`: `{key}` {problem}")]
    Config {
        /// the stage
        stage: String,
        /// the option
        key: &'static str,
        /// what is wrong and what would do
        problem: String,
    },
    /// A value that is no number, in the forward pass.
    #[error("stage `{stage}`, step {step}, {row}: {what} is {value}; lower the learning rate, or look at this row")]
    NotFinite {
        /// the stage
        stage: String,
        /// the step, counted from 1
        step: usize,
        /// where the row came from
        row: String,
        /// the quantity
        what: String,
        /// its value
        value: f64,
    },
    /// A gradient that is no number.
    #[error("stage `{stage}`, step {step}: the gradient norm is {value} (rows {rows}); lower the learning rate")]
    Gradient {
        /// the stage
        stage: String,
        /// the step, counted from 1
        step: usize,
        /// NaN or infinite
        value: f64,
        /// where the step's rows came from
        rows: String,
    },
    /// Policy and reference are the same model, but score the same row differently.
    #[error(
        "stage `{stage}`, {row}: the policy scores {policy} nats before its first step, its reference {reference}; they should agree"
    )]
    Reference {
        /// the stage
        stage: String,
        /// where the row came from
        row: String,
        /// log-probability under the policy
        policy: f64,
        /// and under the reference
        reference: f64,
    },
    /// A completion that cannot be rated.
    #[error("{row}: a completion cannot be rated: {problem}")]
    Reward {
        /// where the prompt came from
        row: String,
        /// what is wrong
        problem: String,
    },
    /// A server that should write completions does not.
    #[error("rollout engine {url}: {problem}")]
    Engine {
        /// its address
        url: String,
        /// what is wrong
        problem: String,
    },
    /// A checkpoint that does not belong to this run.
    #[error("{path}: {problem}")]
    Checkpoint {
        /// the file
        path: PathBuf,
        /// what is wrong and what would do
        problem: String,
    },
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// the file
        path: PathBuf,
        /// what the system says
        source: std::io::Error,
    },
    /// From the data.
    #[error(transparent)]
    Data(#[from] DataError),
    /// From the model.
    #[error(transparent)]
    Lm(#[from] LmError),
    /// From the containers of log-probabilities.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// From the objective.
    #[error(transparent)]
    Objective(#[from] ObjectiveError),
    /// From advantages or a policy-gradient loss.
    #[error(transparent)]
    PolicyGradient(#[from] PolicyGradientError),
    /// From token rewards, process rewards or distillation.
    #[error(transparent)]
    Credit(#[from] CreditError),
    /// From a denoiser or its training.
    #[error(transparent)]
    Denoiser(#[from] DenoiserError),
    /// From an operation.
    #[error(transparent)]
    Ops(#[from] OpsError),
}

impl TrainError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| TrainError::Io { path, source }
    }

    /// Where a server is to blame, writes a checkpoint and says so.
    pub(crate) fn kept_by(self, save: impl FnOnce() -> Result<(), TrainError>) -> Self {
        let TrainError::Engine { url, problem } = self else { return self };
        match save() {
            Ok(()) => {
                let problem =
                    format!("{problem}; a checkpoint is written, see to the server and go on with the run by --resume");
                TrainError::Engine { url, problem }
            }
            Err(e) => TrainError::Engine { url, problem: format!("{problem}; and no checkpoint could be written: {e}") },
        }
    }

    /// The core's complaint about a value that is not finite, wherever it is wrapped: (what, row, value).
    pub(crate) fn not_finite(&self) -> Option<(&'static str, usize, f64)> {
        match self {
            TrainError::Core(CoreError::NotFinite { what, row, value })
            | TrainError::PolicyGradient(PolicyGradientError::Core(CoreError::NotFinite { what, row, value }))
            | TrainError::Credit(CreditError::Core(CoreError::NotFinite { what, row, value }))
            | TrainError::Objective(ObjectiveError::Core(CoreError::NotFinite { what, row, value })) => {
                Some((what, *row, *value))
            }
            _ => None,
        }
    }
}

impl From<dfdx::tensor::CpuError> for TrainError {
    fn from(e: dfdx::tensor::CpuError) -> Self {
        TrainError::Ops(e.into())
    }
}

impl From<DiffusionError> for TrainError {
    fn from(e: DiffusionError) -> Self {
        TrainError::Denoiser(e.into())
    }
}
