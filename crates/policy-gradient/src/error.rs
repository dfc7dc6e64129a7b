//! Errors of advantages and losses.

use thiserror::Error;
use tropism_core::{CoreError, OptionError};

use crate::Field;

/// What can go wrong: a bad option, a rollout that is not what the method reads, or inputs that do not belong together.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum PolicyGradientError {
    /// An option has a value that the method cannot use.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// The method reads something that the rollout does not have.
    #[error("{method} reads {field}, which the rollout does not have; add it with `Rollout::{}`", field.setter())]
    Missing {
        /// The method.
        method: &'static str,
        /// What it reads.
        field: Field,
    },
    /// The method does not read something that the rollout has.
    #[error("{method} does not read {field}; leave it out")]
    Unused {
        /// The method.
        method: &'static str,
        /// What it does not read.
        field: Field,
    },
    /// Two models scored different tokens.
    #[error("row {row} of {field} counts other tokens than the policy's; score both with the same tokens and mask")]
    UnevenMask {
        /// The input that differs.
        field: Field,
        /// Row, counted from 0.
        row: usize,
    },
    /// A number that cannot be used.
    #[error("entry {entry} of {what} is {value}; it must be {requirement}")]
    Entry {
        /// The input.
        what: &'static str,
        /// Entry, counted from 0, row by row.
        entry: usize,
        /// Its value.
        value: f64,
        /// What is allowed.
        requirement: &'static str,
    },
    /// A group that the method cannot use.
    #[error("group {group} {problem}")]
    Group {
        /// Group, counted from 0 in the order of its first row.
        group: usize,
        /// What is wrong with it and what to do.
        problem: String,
    },
    /// A container or the tensor backend refused its input.
    #[error(transparent)]
    Core(#[from] CoreError),
}

impl PolicyGradientError {
    /// Fails on the first value for which `ok` is false.
    pub(crate) fn check_entries(
        what: &'static str,
        values: &[f64],
        ok: impl Fn(f64) -> bool,
        requirement: &'static str,
    ) -> Result<(), Self> {
        match values.iter().position(|&v| !ok(v)) {
            None => Ok(()),
            Some(entry) => Err(Self::Entry { what, entry, value: values[entry], requirement }),
        }
    }
}
