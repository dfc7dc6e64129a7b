//! Which rows answer the same prompt.

use tropism_core::CoreError;

use crate::PolicyGradientError;

/// The groups of a batch: rows that were sampled for the same prompt, in any order.
///
/// ```
/// use tropism_policy_gradient::Groups;
///
/// let groups = Groups::new(&[7, 7, 3, 7])?;
/// assert_eq!((groups.len(), groups.of(2)), (2, 1));
/// assert_eq!(groups.members(), [vec![0, 1, 3], vec![2]]);
/// assert_eq!(Groups::of_size(4, 2)?, Groups::new(&[0, 0, 1, 1])?);
/// # Ok::<(), tropism_policy_gradient::PolicyGradientError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Groups {
    of_row: Vec<usize>,
    members: Vec<Vec<usize>>,
}

impl Groups {
    /// Groups by a number for each row, such as the prompt's.
    ///
    /// # Errors
    /// [`CoreError::Empty`] without rows.
    pub fn new(prompt_of_row: &[usize]) -> Result<Self, PolicyGradientError> {
        if prompt_of_row.is_empty() {
            return Err(CoreError::Empty { what: "groups" }.into());
        }
        let mut names: Vec<usize> = Vec::new();
        let mut groups = Self { of_row: Vec::new(), members: Vec::new() };
        for (row, &name) in prompt_of_row.iter().enumerate() {
            let group = names.iter().position(|&n| n == name).unwrap_or_else(|| {
                names.push(name);
                groups.members.push(Vec::new());
                names.len() - 1
            });
            groups.of_row.push(group);
            groups.members[group].push(row);
        }
        Ok(groups)
    }

    /// Groups of `size` adjacent rows.
    ///
    /// # Errors
    /// [`CoreError::SizeMismatch`] unless the rows are a multiple of `size`; [`CoreError::Empty`].
    pub fn of_size(rows: usize, size: usize) -> Result<Self, PolicyGradientError> {
        if size == 0 {
            return Err(CoreError::Empty { what: "group" }.into());
        }
        CoreError::check_size("rows of whole groups", rows.div_ceil(size) * size, rows)?;
        Self::new(&(0..rows).map(|row| row / size).collect::<Vec<_>>())
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.of_row.len()
    }

    /// Number of groups; never 0.
    #[expect(clippy::len_without_is_empty, reason = "groups are never empty")]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// The group of a row, counted from 0 in the order of first rows.
    pub fn of(&self, row: usize) -> usize {
        self.of_row[row]
    }

    /// The rows of each group.
    pub fn members(&self) -> &[Vec<usize>] {
        &self.members
    }

    /// Fails unless there is one group per row of something else.
    pub(crate) fn check_rows(&self, rows: usize) -> Result<(), PolicyGradientError> {
        Ok(CoreError::check_size("groups", rows, self.rows())?)
    }
}
