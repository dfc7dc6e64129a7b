//! Errors of the credit methods.

use thiserror::Error;
use tropism_core::{ColumnError, CoreError, OptionError};

use crate::CreditKind;

/// What can go wrong: a bad option, or inputs that do not belong together.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum CreditError {
    /// An option has a value that the method cannot use.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// A constant is missing, is not read, or has a value that the method cannot use.
    #[error(transparent)]
    Column(#[from] ColumnError),
    /// A container or the tensor backend refused its input.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// The method reads another kind of input.
    #[error("{method} reads {needs} and was given {found}")]
    WrongInput {
        /// The method.
        method: &'static str,
        /// What it reads.
        needs: CreditKind,
        /// What it was given.
        found: CreditKind,
    },
    /// Two models counted different tokens, so they did not score the same text.
    #[error("{what}: cell {column} of row {row} counts for one model and not for the other; score both with the same mask")]
    UnevenMasks {
        /// The completions.
        what: &'static str,
        /// Row, counted from 0.
        row: usize,
        /// Column, counted from 0.
        column: usize,
    },
    /// Two models counted different numbers of tokens.
    #[error(
        "{what} of row {row} has {found} tokens where the policy has {expected}; score both with the same tokens and mask"
    )]
    UnevenLengths {
        /// The completions.
        what: &'static str,
        /// Row, counted from 0.
        row: usize,
        /// Tokens of the policy.
        expected: f64,
        /// Tokens of the other model.
        found: f64,
    },
    /// A value that has to be positive is not.
    #[error("{what} of row {row} is {value}; it must be {requirement}")]
    Value {
        /// What it is.
        what: &'static str,
        /// Row, counted from 0.
        row: usize,
        /// The value.
        value: f64,
        /// What is allowed.
        requirement: &'static str,
    },
    /// A span or index lies outside what it points into.
    #[error("{what} {index} of row {row} is not below {bound}; spans are ranges of the row's columns in rising order")]
    Outside {
        /// What it is.
        what: &'static str,
        /// Row, counted from 0.
        row: usize,
        /// The index.
        index: usize,
        /// What it has to be below.
        bound: usize,
    },
    /// A trajectory's steps disagree about it.
    #[error("step {row} gives trajectory {trajectory} another {what} than its first step; a trajectory has one")]
    Trajectory {
        /// The step, counted from 0.
        row: usize,
        /// The trajectory.
        trajectory: usize,
        /// What differs.
        what: &'static str,
    },
    /// A tree of states is not one.
    #[error("state {state}: {problem}")]
    Tree {
        /// The state.
        state: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl CreditError {
    /// Fails on the first row where `ok` does not hold.
    pub(crate) fn check_rows(
        what: &'static str,
        values: &[f64],
        requirement: &'static str,
        ok: impl Fn(f64) -> bool,
    ) -> Result<(), Self> {
        match values.iter().position(|&v| !ok(v)) {
            None => Ok(()),
            Some(row) => Err(Self::Value { what, row, value: values[row], requirement }),
        }
    }
}
