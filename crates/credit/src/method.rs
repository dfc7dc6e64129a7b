//! What every loss of this crate says about itself.

use dfdx::prelude::*;
use tropism_core::{Column, LossTerms};

use crate::{CreditBatch, CreditError, CreditKind};

/// A loss with its options: what it reads, and its value. [`Credit`](crate::Credit) is built on it.
pub trait CreditMethod {
    /// The kind of input that the loss reads.
    const INPUT: CreditKind;

    /// The kind of input, [`INPUT`](Self::INPUT).
    fn input(&self) -> CreditKind {
        Self::INPUT
    }

    /// The constants that the loss reads beside it.
    fn columns(&self) -> Vec<Column> {
        Vec::new()
    }

    /// Whether a row's loss depends on other rows, so that a step may be split between groups of rows only.
    fn couples_rows(&self) -> bool {
        false
    }

    /// The loss of a batch that has been checked to fit.
    ///
    /// # Errors
    /// Those of the method's function.
    fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        batch: CreditBatch<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, CreditError>;
}

/// [`tropism_core::options!`] with this crate's error.
macro_rules! options {
    ($($declaration:tt)*) => {
        tropism_core::options! { crate::CreditError; $($declaration)* }
    };
}
pub(crate) use options;
