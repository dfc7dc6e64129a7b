//! Errors of the report.

use std::path::PathBuf;

use thiserror::Error;

/// Why a report could not be drawn or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReportError {
    /// A chart could not be drawn.
    #[error("chart of {curves} cannot be drawn: {reason}")]
    Chart {
        /// Names of its curves.
        curves: String,
        /// What the plotting library says.
        reason: String,
    },
    /// The file could not be written.
    #[error("cannot write the report to {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
}
