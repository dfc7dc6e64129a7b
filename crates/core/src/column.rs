//! What a method says about the constants that it reads.

use thiserror::Error;

use crate::{Columns, CoreError};

/// How many entries a [`Column`] has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Per {
    /// One per row.
    Row,
    /// One per cell of the list, table or token rectangle, row by row.
    Cell,
    /// One per token cell of the chosen side.
    ChosenToken,
    /// One per token cell of the rejected side.
    RejectedToken,
}

/// Which values a [`Column`] may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// Any finite number.
    Any,
    /// At least 0.
    NotNegative,
    /// From 0 to 1.
    Share,
    /// 0 or 1.
    Flag,
    /// A whole number from 0.
    Index,
}

impl Domain {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::Any => true,
            Self::NotNegative => value >= 0.0,
            Self::Share => (0.0..=1.0).contains(&value),
            Self::Flag => value == 0.0 || value == 1.0,
            Self::Index => value >= 0.0 && value.fract() == 0.0,
        }
    }

    fn requirement(self) -> &'static str {
        match self {
            Self::Any => "finite",
            Self::NotNegative => "at least 0",
            Self::Share => "from 0 to 1",
            Self::Flag => "0 or 1",
            Self::Index => "a whole number from 0",
        }
    }
}

/// A constant that a method reads beside the log-probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name in [`Columns`].
    pub name: &'static str,
    /// How many entries it has.
    pub per: Per,
    /// Which values it may hold.
    pub domain: Domain,
}

impl Column {
    /// A column with one entry per row.
    pub const fn row(name: &'static str, domain: Domain) -> Self {
        Self { name, per: Per::Row, domain }
    }

    /// A column with one entry per cell.
    pub const fn cell(name: &'static str, domain: Domain) -> Self {
        Self { name, per: Per::Cell, domain }
    }

    /// The column's values in `columns`, checked.
    ///
    /// # Errors
    /// [`ColumnError::Missing`]; [`ColumnError::Core`] unless there are `entries` of them; [`ColumnError::Value`].
    pub fn read<'c>(&self, method: &'static str, columns: &'c Columns, entries: usize) -> Result<&'c [f64], ColumnError> {
        let values = columns.get(self.name).ok_or(ColumnError::Missing { method, column: self.name })?;
        CoreError::check_size(self.name, entries, values.len())?;
        self.check(method, values)?;
        Ok(values)
    }

    /// Fails on the first value outside the domain.
    ///
    /// # Errors
    /// [`ColumnError::Value`].
    pub fn check(&self, method: &'static str, values: &[f64]) -> Result<(), ColumnError> {
        match values.iter().position(|&v| !v.is_finite() || !self.domain.holds(v)) {
            None => Ok(()),
            Some(entry) => Err(ColumnError::Value {
                method,
                column: self.name,
                entry,
                value: values[entry],
                requirement: self.domain.requirement(),
            }),
        }
    }

    /// Fails unless `columns` are those that `method` reads, with `entries` of each kind.
    ///
    /// # Errors
    /// As [`read`](Self::read); [`ColumnError::Unused`].
    pub fn check_all(
        method: &'static str,
        reads: &[Self],
        columns: &Columns,
        entries: impl Fn(Per) -> usize,
    ) -> Result<(), ColumnError> {
        for column in reads {
            column.read(method, columns, entries(column.per))?;
        }
        match columns.names().find(|n| reads.iter().all(|c| c.name != *n)) {
            Some(column) => Err(ColumnError::Unused { method, column }),
            None => Ok(()),
        }
    }
}

/// What can be wrong with the constants of a batch.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum ColumnError {
    /// The method reads a constant that was not given.
    #[error("{method} reads the column `{column}`, which the batch does not have; add it to the rows")]
    Missing {
        /// The method.
        method: &'static str,
        /// The column.
        column: &'static str,
    },
    /// The method does not read a constant that was given.
    #[error("{method} does not read the column `{column}`; leave it out")]
    Unused {
        /// The method.
        method: &'static str,
        /// The column.
        column: &'static str,
    },
    /// A constant has a value that the method cannot use.
    #[error("{method}: entry {entry} of the column `{column}` is {value}; it must be {requirement}")]
    Value {
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
    /// A constant has the wrong number of entries.
    #[error(transparent)]
    Core(#[from] CoreError),
}
