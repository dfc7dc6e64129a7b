//! Errors of this crate.

use thiserror::Error;
use tropism_core::{ColumnError, CoreError, OptionError};

/// What can go wrong: a bad option, inputs that do not belong together, or a figure that has no value.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum DiffusionError {
    /// An option has a value that cannot be used.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// A container or the tensor backend refused its input.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// The constants of a batch are not those that the method reads.
    #[error(transparent)]
    Column(#[from] ColumnError),
    /// Tensors that belong together have different shapes.
    #[error("{what} is [{}, {}] where [{}, {}] is needed; give one row per sample and one column per dimension",
        found.0, found.1, expected.0, expected.1)]
    Shape {
        /// The tensor.
        what: &'static str,
        /// Rows and columns needed.
        expected: (usize, usize),
        /// Rows and columns found.
        found: (usize, usize),
    },
    /// A constant of a row has a value that cannot be used.
    #[error("{what} of row {row} is {value}; it must be {requirement}")]
    Value {
        /// The constant.
        what: &'static str,
        /// Row, counted from 0.
        row: usize,
        /// Its value.
        value: f64,
        /// What is allowed.
        requirement: &'static str,
    },
    /// A time that the schedule does not have, or at which a figure has no value.
    #[error("{what} at t = {t}: {problem}")]
    Time {
        /// What was asked for.
        what: &'static str,
        /// The time.
        t: f64,
        /// Why it cannot be had and what to do.
        problem: String,
    },
    /// A method was given another kind of input than it reads, or nothing that it could learn from.
    #[error("{method}: {problem}")]
    Input {
        /// The method.
        method: &'static str,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A network's output or a loss is NaN or infinite.
    #[error("{what} is not finite at t = {t} in row {row}; lower the learning rate, or look for a weight that explodes")]
    NotFinite {
        /// The figure.
        what: &'static str,
        /// The time.
        t: f64,
        /// Row, counted from 0.
        row: usize,
    },
}

impl DiffusionError {
    /// Fails unless two shapes are the same.
    ///
    /// # Errors
    /// [`DiffusionError::Shape`].
    pub fn check_shape(what: &'static str, expected: (usize, usize), found: (usize, usize)) -> Result<(), Self> {
        if expected == found { Ok(()) } else { Err(Self::Shape { what, expected, found }) }
    }
}
