//! Named figures per row that a loss reports beside its value.

use crate::CoreError;

/// An ordered list of named columns with one f64 per row, detached from any tape.
///
/// Rows are kept apart so that the consumer can average over any set of micro-batches, ragged ones included, without
/// a mean of means. Names are those users of other trainers know, such as `rewards/chosen` or `logps/rejected`.
///
/// ```
/// use tropism_core::Diagnostics;
///
/// let mut seen = Diagnostics::default();
/// seen.push("rewards/chosen", vec![1.0, 2.0])?;
/// let mut more = Diagnostics::default();
/// more.push("rewards/chosen", vec![6.0])?;
/// seen.extend(&more)?;
/// assert_eq!(seen.mean("rewards/chosen"), Some(3.0));
/// assert_eq!(seen.rows(), 3);
/// # Ok::<(), tropism_core::CoreError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Diagnostics {
    columns: Vec<(&'static str, Vec<f64>)>,
}

impl Diagnostics {
    /// Adds a column, or replaces the one of that name.
    ///
    /// # Errors
    /// [`CoreError::SizeMismatch`] when it has another number of rows than the columns before it.
    pub fn push(&mut self, name: &'static str, values: Vec<f64>) -> Result<(), CoreError> {
        if !self.columns.is_empty() {
            CoreError::check_size(name, self.rows(), values.len())?;
        }
        match self.columns.iter_mut().find(|(n, _)| *n == name) {
            Some(column) => column.1 = values,
            None => self.columns.push((name, values)),
        }
        Ok(())
    }

    /// Number of rows; 0 without columns.
    pub fn rows(&self) -> usize {
        self.columns.first().map_or(0, |(_, values)| values.len())
    }

    /// The values of a column, one per row.
    pub fn get(&self, name: &str) -> Option<&[f64]> {
        self.columns.iter().find(|(n, _)| *n == name).map(|(_, values)| values.as_slice())
    }

    /// Mean of a column over its rows; `None` for an unknown name or without rows.
    pub fn mean(&self, name: &str) -> Option<f64> {
        let values = self.get(name).filter(|values| !values.is_empty())?;
        Some(values.iter().sum::<f64>() / values.len() as f64)
    }

    /// Columns in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &[f64])> {
        self.columns.iter().map(|(name, values)| (*name, values.as_slice()))
    }

    /// Names in the order in which they were added.
    pub fn names(&self) -> Vec<&'static str> {
        self.columns.iter().map(|(name, _)| *name).collect()
    }

    /// Adds the columns of `other` whose names are not taken; both describe the same rows.
    ///
    /// # Errors
    /// [`CoreError::SizeMismatch`] when `other` has another number of rows.
    pub fn join(&mut self, other: Self) -> Result<(), CoreError> {
        for (name, values) in other.columns {
            if self.get(name).is_none() {
                self.push(name, values)?;
            }
        }
        Ok(())
    }

    /// Appends the rows of `other`, which must carry the same names in the same order; an empty receiver takes all.
    ///
    /// # Errors
    /// [`CoreError::NamesDiffer`].
    pub fn extend(&mut self, other: &Self) -> Result<(), CoreError> {
        if self.columns.is_empty() {
            self.columns.clone_from(&other.columns);
            return Ok(());
        }
        if self.names() != other.names() {
            return Err(CoreError::NamesDiffer { expected: self.names(), found: other.names() });
        }
        for ((_, mine), (_, theirs)) in self.columns.iter_mut().zip(&other.columns) {
            mine.extend_from_slice(theirs);
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_and_replaces_by_name() {
        let mut d = Diagnostics::default();
        d.push("b", vec![1.0]).unwrap();
        d.push("a", vec![2.0]).unwrap();
        d.push("b", vec![3.0]).unwrap();
        assert_eq!(d.names(), ["b", "a"]);
        assert_eq!(d.get("b"), Some([3.0].as_slice()));
        assert_eq!(d.iter().count(), 2);
    }

    #[test]
    fn refuses_ragged_columns_and_other_names() {
        let mut d = Diagnostics::default();
        d.push("a", vec![1.0, 2.0]).unwrap();
        assert!(matches!(d.push("b", vec![1.0]), Err(CoreError::SizeMismatch { expected: 2, found: 1, .. })));
        let mut other = Diagnostics::default();
        other.push("b", vec![1.0]).unwrap();
        assert!(matches!(d.extend(&other), Err(CoreError::NamesDiffer { .. })));
    }

    #[test]
    fn without_rows_there_is_no_mean() {
        let d = Diagnostics::default();
        assert_eq!((d.rows(), d.mean("a")), (0, None));
        let mut d = Diagnostics::default();
        d.push("a", vec![]).unwrap();
        assert_eq!(d.mean("a"), None);
    }
}
