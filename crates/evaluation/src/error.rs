//! What the metrics refuse.

/// Bad input, by argument and index.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluationError {
    /// Nothing to measure.
    #[error("{what} is empty; at least one observation is needed")]
    Empty {
        /// the argument
        what: &'static str,
    },
    /// Slices that belong together differ in length.
    #[error("{what} has {found} entries, expected {expected}")]
    Length {
        /// the argument
        what: &'static str,
        /// entries of the other argument
        expected: usize,
        /// its own entries
        found: usize,
    },
    /// A value that is NaN or infinite.
    #[error("{what}[{index}] is {value}; look for a loss or reward that is not finite")]
    NotFinite {
        /// the argument
        what: &'static str,
        /// counted from 0
        index: usize,
        /// the value
        value: f64,
    },
    /// A number outside its range.
    #[error("{what} is {value}; {expected}")]
    Range {
        /// the argument
        what: &'static str,
        /// its value
        value: usize,
        /// what would do
        expected: &'static str,
    },
    /// A real number outside its range.
    #[error("{what} is {value}; {expected}")]
    Value {
        /// the argument
        what: &'static str,
        /// its value
        value: f64,
        /// what would do
        expected: &'static str,
    },
    /// A row that does not fit.
    #[error("{what}[{index}]: {problem}")]
    Row {
        /// the argument
        what: &'static str,
        /// counted from 0
        index: usize,
        /// what is wrong with it
        problem: String,
    },
    /// No answer exists for this input, or none was found.
    #[error("{what}: {problem}")]
    Undefined {
        /// the quantity
        what: &'static str,
        /// why, and what to do
        problem: String,
    },
}

pub(crate) fn finite(what: &'static str, values: &[f64]) -> Result<(), EvaluationError> {
    if values.is_empty() {
        return Err(EvaluationError::Empty { what });
    }
    match values.iter().position(|v| !v.is_finite()) {
        Some(index) => Err(EvaluationError::NotFinite { what, index, value: values[index] }),
        None => Ok(()),
    }
}

pub(crate) fn same_length(what: &'static str, expected: usize, found: usize) -> Result<(), EvaluationError> {
    if expected == found { Ok(()) } else { Err(EvaluationError::Length { what, expected, found }) }
}

/// A share, in 0..=1.
pub(crate) fn share(what: &'static str, value: f64) -> Result<(), EvaluationError> {
    if (0.0..=1.0).contains(&value) {
        Ok(())
    } else {
        Err(EvaluationError::Value { what, value, expected: "a share in 0..=1 is expected" })
    }
}

/// A nominal coverage, strictly between 0 and 1.
pub(crate) fn level_in_range(level: f64) -> Result<(), EvaluationError> {
    if level > 0.0 && level < 1.0 {
        Ok(())
    } else {
        Err(EvaluationError::Value {
            what: "level",
            value: level,
            expected: "a coverage between 0 and 1, such as 0.95, is expected",
        })
    }
}
