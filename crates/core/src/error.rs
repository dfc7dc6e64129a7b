//! Errors of the containers, numerics and options.

use std::fmt::Display;

use thiserror::Error;

/// What can go wrong when log-probabilities are gathered into containers.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum CoreError {
    /// Two inputs that belong together differ in size.
    #[error("{what} has {found} entries where {expected} are needed; give one per row")]
    SizeMismatch {
        /// The input with the wrong size.
        what: &'static str,
        /// Entries needed.
        expected: usize,
        /// Entries found.
        found: usize,
    },
    /// An input holds nothing; tensors of the backend cannot be empty.
    #[error("{what} is empty; give at least one row and one column")]
    Empty {
        /// The empty input.
        what: &'static str,
    },
    /// A value is NaN or infinite.
    #[error("{what} of row {row} is {value}; look for overflow, or for a masked token that is counted")]
    NotFinite {
        /// The input that holds the value.
        what: &'static str,
        /// Row, counted from 0.
        row: usize,
        /// The value.
        value: f64,
    },
    /// A cell is in two masks that exclude each other.
    #[error("cell {column} of row {row} is both prompt and completion; a token is one of them")]
    Overlap {
        /// Row, counted from 0.
        row: usize,
        /// Column, counted from 0.
        column: usize,
    },
    /// A token has no value of the state in which it was chosen.
    #[error("the completion token in cell {column} of row {row} has no value; let the values' mask cover the completion")]
    MissingValue {
        /// Row, counted from 0.
        row: usize,
        /// Column, counted from 0.
        column: usize,
    },
    /// A loss with several denominators was summed without saying how they relate.
    #[error("the loss has {parts} parts with denominators of their own and was given {found}; give one for each part")]
    Denominators {
        /// Parts of the loss.
        parts: usize,
        /// Denominators given.
        found: usize,
    },
    /// A weight is negative.
    #[error("weight of row {row} is {value}; weights must not be negative")]
    NegativeWeight {
        /// Row, counted from 0.
        row: usize,
        /// The weight.
        value: f64,
    },
    /// A mean was asked for, but there is nothing to divide by.
    #[error("the weights of the loss sum to {weight}; drop batches without a counted token before the step")]
    NoWeight {
        /// The denominator.
        weight: f64,
    },
    /// Two sets of diagnostics do not carry the same names.
    #[error("diagnostics {expected:?} cannot be extended by {found:?}; gather one method at a time")]
    NamesDiffer {
        /// Names of the receiving set.
        expected: Vec<&'static str>,
        /// Names of the other set.
        found: Vec<&'static str>,
    },
    /// The tensor backend reported an error.
    #[error("tensor backend: {0}")]
    Device(String),
}

/// A value that an option of a method cannot have.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum OptionError {
    /// A number outside the allowed range.
    #[error("{method}: `{key}` is {value}; it must be {requirement}")]
    Value {
        /// The method.
        method: &'static str,
        /// The option.
        key: &'static str,
        /// Its value.
        value: f64,
        /// What is allowed.
        requirement: &'static str,
    },
    /// Something else than a number, or options that do not go together.
    #[error("{method}: `{key}` {problem}")]
    Problem {
        /// The method.
        method: &'static str,
        /// The option.
        key: &'static str,
        /// What is wrong with it and what to do.
        problem: String,
    },
}

impl OptionError {
    /// Fails unless `ok`, naming method, option and value.
    ///
    /// # Errors
    /// [`OptionError::Value`].
    pub fn check(
        ok: bool,
        (method, key, value): (&'static str, &'static str, f64),
        requirement: &'static str,
    ) -> Result<(), Self> {
        if ok { Ok(()) } else { Err(Self::Value { method, key, value, requirement }) }
    }
}

impl CoreError {
    /// Wraps an error of the tensor backend.
    pub fn device(error: impl Display) -> Self {
        Self::Device(error.to_string())
    }

    /// Fails unless `found` equals `expected`.
    ///
    /// # Errors
    /// [`CoreError::SizeMismatch`].
    pub fn check_size(what: &'static str, expected: usize, found: usize) -> Result<(), Self> {
        if expected == found { Ok(()) } else { Err(Self::SizeMismatch { what, expected, found }) }
    }

    /// Fails on the first value that is NaN or infinite.
    ///
    /// # Errors
    /// [`CoreError::NotFinite`] with the row.
    pub fn check_finite(what: &'static str, values: &[f64]) -> Result<(), Self> {
        match values.iter().position(|v| !v.is_finite()) {
            None => Ok(()),
            Some(row) => Err(Self::NotFinite { what, row, value: values[row] }),
        }
    }
}
