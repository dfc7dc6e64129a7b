//! What a denoiser, its training or its files refuse.
use crate::DiffusionError;
use std::path::{Path, PathBuf};
use tropism_core::CoreError;
use tropism_ops::OpsError;

/// Errors of denoisers.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DenoiserError {
    /// Sizes or options that make no network or no training.
    #[error("{0}")]
    Config(String),
    /// An input that the network does not read.
    #[error("denoiser: {0}")]
    Input(String),
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// the file
        path: PathBuf,
        /// the system's words
        source: std::io::Error,
    },
    /// A file that holds something else.
    #[error("{}: {problem}", path.display())]
    File {
        /// the file
        path: PathBuf,
        /// what is wrong with it
        problem: String,
    },
    /// A loss or a gradient that is no number.
    #[error("step {step}: the {what} is {value}; lower the learning rate or look at the data")]
    NotFinite {
        /// the step, counted from 0
        step: u64,
        /// loss or gradient
        what: &'static str,
        /// its value
        value: f64,
    },
    /// A schedule, sampler or loss refused.
    #[error(transparent)]
    Diffusion(#[from] DiffusionError),
    /// A container refused.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// An operation refused.
    #[error(transparent)]
    Ops(#[from] OpsError),
}

impl DenoiserError {
    /// Names the file in a system error.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        |source| DenoiserError::Io { path: path.into(), source }
    }

    /// A file and what is wrong with it.
    pub(crate) fn file(path: &Path, problem: impl Into<String>) -> Self {
        DenoiserError::File { path: path.into(), problem: problem.into() }
    }

    /// An error of dfdx's device.
    pub(crate) fn device(error: dfdx::tensor::CpuError) -> Self {
        DenoiserError::Ops(error.into())
    }
}

impl From<DenoiserError> for DiffusionError {
    /// For samplers, whose functions fail with the crate's error: what a network refuses becomes a text there.
    fn from(error: DenoiserError) -> Self {
        match error {
            DenoiserError::Diffusion(e) => e,
            DenoiserError::Core(e) => DiffusionError::Core(e),
            other => DiffusionError::Input { method: "denoiser", problem: other.to_string() },
        }
    }
}
