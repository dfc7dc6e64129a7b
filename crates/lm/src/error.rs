//! What goes wrong with models and their folders.
use std::path::PathBuf;
use tropism_ops::OpsError;

/// Errors of loading, running and saving a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LmError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// the file
        path: PathBuf,
        /// what the system says
        source: std::io::Error,
    },
    /// `config.json` says something that cannot be used.
    #[error("{path}: key `{key}` {problem}")]
    Config {
        /// the file
        path: PathBuf,
        /// the key
        key: String,
        /// what is wrong and what would do
        problem: String,
    },
    /// A file does not hold what its kind should.
    #[error("{path}: {problem}")]
    File {
        /// the file
        path: PathBuf,
        /// what is wrong and what would do
        problem: String,
    },
    /// One tensor of a checkpoint does not fit.
    #[error("{path}: tensor `{name}` {problem}")]
    Tensor {
        /// the file
        path: PathBuf,
        /// the tensor
        name: String,
        /// what is wrong
        problem: String,
    },
    /// A token id that the model does not have.
    #[error(
        "token id {id} at position {position} is not below the model's vocabulary of {vocab}; the tokenizer does not fit the model"
    )]
    TokenId {
        /// the id
        id: usize,
        /// where in the batch
        position: usize,
        /// size of the vocabulary
        vocab: usize,
    },
    /// A sequence beyond the positions that the model was made for.
    #[error(
        "a sequence of {found} tokens is longer than the model's max_position_embeddings of {limit}; lower the maximal length"
    )]
    TooLong {
        /// tokens
        found: usize,
        /// positions
        limit: usize,
    },
    /// A value that the caller must change.
    #[error("{0}")]
    Invalid(String),
    /// An operation refused its input.
    #[error(transparent)]
    Ops(#[from] OpsError),
}

impl LmError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| LmError::Io { path, source }
    }

    pub(crate) fn file(path: impl Into<PathBuf>, problem: impl Into<String>) -> Self {
        LmError::File { path: path.into(), problem: problem.into() }
    }
}

impl From<dfdx::tensor::CpuError> for LmError {
    fn from(e: dfdx::tensor::CpuError) -> Self {
        LmError::Ops(e.into())
    }
}
