//! Constants that a loss reads beside the log-probabilities.

use crate::CoreError;

/// Named constants of a batch, such as a score gap per pair: no gradient flows to them.
///
/// A column has one entry per row, or per cell of a table (row by row); the loss that reads it says which.
///
/// ```
/// use tropism_core::Columns;
///
/// let columns = Columns::default().with("score_gap", vec![0.5, 2.0])?;
/// assert_eq!(columns.get("score_gap"), Some([0.5, 2.0].as_slice()));
/// assert!(Columns::default().with("score_gap", vec![f64::NAN]).is_err());
/// # Ok::<(), tropism_core::CoreError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Columns {
    columns: Vec<(&'static str, Vec<f64>)>,
}

impl Columns {
    /// Adds a column, or replaces the one of that name.
    ///
    /// # Errors
    /// [`CoreError::NotFinite`] for a value that is NaN or infinite.
    pub fn with(mut self, name: &'static str, values: Vec<f64>) -> Result<Self, CoreError> {
        CoreError::check_finite(name, &values)?;
        self.columns.retain(|(n, _)| *n != name);
        self.columns.push((name, values));
        Ok(self)
    }

    /// The values of a column.
    pub fn get(&self, name: &str) -> Option<&[f64]> {
        self.columns.iter().find(|(n, _)| *n == name).map(|(_, values)| values.as_slice())
    }

    /// Names in the order in which they were added.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.columns.iter().map(|(name, _)| *name)
    }
}
