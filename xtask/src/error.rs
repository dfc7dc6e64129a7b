//! Errors of the commands, with what to do about them.
use miette::Diagnostic;
use std::path::PathBuf;
use tropism_data::DataError;
use tropism_lm::LmError;
use tropism_trainer::TrainError;

/// What a command may fail with.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[non_exhaustive]
pub enum XtaskError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// the file
        path: PathBuf,
        /// what the system says
        source: std::io::Error,
    },
    /// No recipe and no file of that name.
    #[error("there is no recipe `{name}`, and no file of that name")]
    #[diagnostic(help("{help}"))]
    NoRecipe {
        /// what was asked for
        name: String,
        /// the nearest recipe, or the list
        help: String,
    },
    /// A configuration that cannot be used.
    #[error("{origin}: {problem}")]
    #[diagnostic(help("{help}"))]
    Config {
        /// file or recipe
        origin: String,
        /// what is wrong, with the key
        problem: String,
        /// what would do
        help: String,
    },
    /// A command that cannot be carried out as given.
    #[error("{problem}")]
    #[diagnostic(help("{help}"))]
    Usage {
        /// what is wrong
        problem: String,
        /// what would do
        help: String,
    },
    /// Checks that did not pass.
    #[error("{failed} golden checks failed")]
    Golden {
        /// how many
        failed: usize,
    },
    /// From the data.
    #[error(transparent)]
    Data(#[from] DataError),
    /// From the model.
    #[error(transparent)]
    Lm(#[from] LmError),
    /// From training.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// From the world.
    #[error(transparent)]
    World(#[from] tropism_worlds::WorldError),
    /// From the metrics.
    #[error(transparent)]
    Evaluation(#[from] tropism_evaluation::EvaluationError),
    /// From a judge.
    #[error(transparent)]
    Judge(#[from] tropism_evaluation::judge::JudgeError),
    /// From a toy.
    #[error(transparent)]
    Toy(#[from] tropism_toys::ToyError),
    /// From the report.
    #[error(transparent)]
    Report(#[from] tropism_report::ReportError),
}

impl XtaskError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| XtaskError::Io { path, source }
    }

    pub(crate) fn config(origin: impl Into<String>, problem: impl Into<String>, help: impl Into<String>) -> Self {
        XtaskError::Config { origin: origin.into(), problem: problem.into(), help: help.into() }
    }

    pub(crate) fn usage(problem: impl Into<String>, help: impl Into<String>) -> Self {
        XtaskError::Usage { problem: problem.into(), help: help.into() }
    }
}
