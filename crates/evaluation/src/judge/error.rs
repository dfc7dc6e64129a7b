//! What keeps a judge or a run of verdicts from its end.
use std::path::PathBuf;

/// Bad settings, a file in the way, a judge that stopped answering. No message holds a key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JudgeError {
    /// A setting that cannot be used.
    #[error("judge setting `{key}`: {problem}")]
    Config {
        /// its name
        key: &'static str,
        /// what is wrong, and what would do
        problem: String,
    },
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// the file
        path: PathBuf,
        /// what the system says
        source: std::io::Error,
    },
    /// A line of the verdicts that nobody can have written in part.
    #[error("{}, line {line}: not a verdict: {reason}; remove the line, or give another file", path.display())]
    Journal {
        /// the file
        path: PathBuf,
        /// counted from 1
        line: usize,
        /// what the parser said
        reason: String,
    },
    /// Another process writes to the same verdicts.
    #[error("{} is being written by another run; wait for it, or give another file", path.display())]
    Busy {
        /// the file
        path: PathBuf,
    },
    /// The judge cannot go on; what it has said is kept.
    #[error("the judge stopped after {done} of {total} questions: {reason}; what it has said is kept, run again to go on")]
    Stopped {
        /// questions with an answer
        done: usize,
        /// questions in all
        total: usize,
        /// the last failure
        reason: String,
    },
}

impl JudgeError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| JudgeError::Io { path, source }
    }

    #[cfg(feature = "http")]
    pub(crate) fn config(key: &'static str, problem: impl Into<String>) -> Self {
        JudgeError::Config { key, problem: problem.into() }
    }
}
