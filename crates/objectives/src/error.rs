//! Errors of the objectives.

use thiserror::Error;
use tropism_core::{ColumnError, CoreError, OptionError};

use crate::InputKind;

/// What can go wrong in a loss: a bad option, or inputs that do not belong together.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum ObjectiveError {
    /// An option has a value that the method cannot use.
    #[error("{method}: `{key}` is {value}; it must be {requirement}")]
    Config {
        /// The method.
        method: &'static str,
        /// The option.
        key: &'static str,
        /// Its value.
        value: f64,
        /// What is allowed.
        requirement: &'static str,
    },
    /// The method compares with a reference, and none was given.
    #[error("{method} needs the log-probabilities of a reference model; none were given")]
    MissingReference {
        /// The method.
        method: &'static str,
    },
    /// The method reads no reference, but one was given.
    #[error("{method} reads no reference model; leave its log-probabilities out")]
    UnusedReference {
        /// The method.
        method: &'static str,
    },
    /// An option that is no number has a value that the method cannot use.
    #[error("{method}: `{key}` {problem}")]
    Option {
        /// The method.
        method: &'static str,
        /// The option.
        key: &'static str,
        /// What is wrong with it and what to do.
        problem: String,
    },
    /// The method reads another kind of input.
    #[error("{method} reads {needs} and was given {found}")]
    WrongInput {
        /// The method.
        method: &'static str,
        /// What it reads.
        needs: InputKind,
        /// What it was given.
        found: InputKind,
    },
    /// The method reads a constant that was not given.
    #[error("{method} reads the column `{column}`, which the batch does not have; add it to the rows")]
    MissingColumn {
        /// The method.
        method: &'static str,
        /// The column.
        column: &'static str,
    },
    /// The method does not read a constant that was given.
    #[error("{method} does not read the column `{column}`; leave it out")]
    UnusedColumn {
        /// The method.
        method: &'static str,
        /// The column.
        column: &'static str,
    },
    /// A constant has a value that the method cannot use.
    #[error("{method}: entry {entry} of the column `{column}` is {value}; it must be {requirement}")]
    Column {
        /// The method.
        method: &'static str,
        /// The column.
        column: &'static str,
        /// Entry, counted from 0, row by row.
        entry: usize,
        /// Its value.
        value: f64,
        /// What is allowed.
        requirement: &'static str,
    },
    /// The method also scores prompts, and the batch does not say where they are.
    #[error("{method} scores the prompt as well; say where it is with `TokenLogps::with_prompt`")]
    MissingPrompt {
        /// The method.
        method: &'static str,
    },
    /// Policy and reference counted different numbers of tokens, so they did not score the same text.
    #[error(
        "{side} completion of row {row} has {policy} tokens under the policy and {reference} under the \
         reference; score both with the same tokens and mask"
    )]
    UnevenLengths {
        /// `chosen` or `rejected`.
        side: &'static str,
        /// Row, counted from 0.
        row: usize,
        /// Tokens of the policy.
        policy: f64,
        /// Tokens of the reference.
        reference: f64,
    },
    /// Policy and reference did not score the same tokens.
    #[error(
        "{method}: cell {column} of row {row} is a completion token for one of policy and reference alone; score both with \
         the same mask"
    )]
    OtherTokens {
        /// The method.
        method: &'static str,
        /// Row, counted from 0.
        row: usize,
        /// Column, counted from 0.
        column: usize,
    },
    /// A container or the tensor backend refused its input.
    #[error(transparent)]
    Core(#[from] CoreError),
}

impl From<ColumnError> for ObjectiveError {
    fn from(error: ColumnError) -> Self {
        match error {
            ColumnError::Missing { method, column } => Self::MissingColumn { method, column },
            ColumnError::Unused { method, column } => Self::UnusedColumn { method, column },
            ColumnError::Value { method, column, entry, value, requirement } => {
                Self::Column { method, column, entry, value, requirement }
            }
            ColumnError::Core(error) => Self::Core(error),
        }
    }
}

impl From<OptionError> for ObjectiveError {
    fn from(error: OptionError) -> Self {
        match error {
            OptionError::Value { method, key, value, requirement } => Self::Config { method, key, value, requirement },
            OptionError::Problem { method, key, problem } => Self::Option { method, key, problem },
        }
    }
}
