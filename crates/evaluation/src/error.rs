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
