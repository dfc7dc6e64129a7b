//! What every method says about itself.

use dfdx::prelude::*;
use tropism_core::LossTerms;

use crate::{Batch, Column, InputKind, ObjectiveError};

/// A method with its options: what it reads, and its loss.
///
/// The functions of the methods can be called without it; [`Objective`](crate::Objective) is built on it.
pub trait Method {
    /// The kind of input that the loss reads.
    const INPUT: InputKind;

    /// The kind of input under these options; differs from [`INPUT`](Self::INPUT) for combinations only.
    fn input(&self) -> InputKind {
        Self::INPUT
    }

    /// Whether the loss compares the policy with a frozen reference model.
    fn needs_reference(&self) -> bool;

    /// The constants that the loss reads beside log-probabilities.
    fn columns(&self) -> Vec<Column> {
        Vec::new()
    }

    /// Whether the loss also reads the tokens of prompts; see [`TokenLogps::with_prompt`](tropism_core::TokenLogps::with_prompt).
    fn reads_prompt(&self) -> bool {
        false
    }

    /// Whether a row's loss depends on the other rows of its batch, so that a step must not be split.
    fn couples_rows(&self) -> bool {
        false
    }

    /// The loss of a batch that has been checked to fit.
    ///
    /// # Errors
    /// Those of the method's function.
    fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        batch: Batch<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, ObjectiveError>;
}

/// [`Method`] for a loss of pairs; the third argument says whether it reads a reference under these options, a fourth
/// whether its rows depend on each other.
macro_rules! on_pairs {
    ($config:ident, $function:path, |$this:ident| $reference:expr) => {
        on_pairs!($config, $function, |$this| $reference, false);
    };
    ($config:ident, $function:path, |$this:ident| $reference:expr, $couples:literal) => {
        impl crate::Method for $config {
            const INPUT: crate::InputKind = crate::InputKind::Pairs;

            fn needs_reference(&self) -> bool {
                let $this = self;
                $reference
            }

            fn couples_rows(&self) -> bool {
                $couples
            }

            fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
                &self,
                batch: crate::Batch<P, C, E, D, T>,
            ) -> Result<LossTerms<P, E, D, T>, crate::ObjectiveError> {
                let (policy, reference, _) = batch.into_pairs(Self::NAME)?;
                $function(policy, reference, self)
            }
        }
    };
}
pub(crate) use on_pairs;

/// [`Method`] for a loss of pairs that never reads a reference.
macro_rules! free_pairs {
    ($config:ident, $function:path) => {
        impl crate::Method for $config {
            const INPUT: crate::InputKind = crate::InputKind::Pairs;

            fn needs_reference(&self) -> bool {
                false
            }

            fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
                &self,
                batch: crate::Batch<P, C, E, D, T>,
            ) -> Result<LossTerms<P, E, D, T>, crate::ObjectiveError> {
                let (policy, ..) = batch.into_pairs(Self::NAME)?;
                $function(policy, self)
            }
        }
    };
}
pub(crate) use free_pairs;

/// [`Method`] for a loss of pairs with a reference and one constant per row; a fourth argument says whether its rows depend on
/// each other.
macro_rules! on_pairs_with {
    ($config:ident, $function:path, $column:expr) => {
        on_pairs_with!($config, $function, $column, false);
    };
    ($config:ident, $function:path, $column:expr, $couples:literal) => {
        impl crate::Method for $config {
            const INPUT: crate::InputKind = crate::InputKind::Pairs;

            fn needs_reference(&self) -> bool {
                true
            }

            fn columns(&self) -> Vec<crate::Column> {
                vec![$column]
            }

            fn couples_rows(&self) -> bool {
                $couples
            }

            fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
                &self,
                batch: crate::Batch<P, C, E, D, T>,
            ) -> Result<LossTerms<P, E, D, T>, crate::ObjectiveError> {
                let (policy, reference, columns) = batch.into_pairs(Self::NAME)?;
                $function(policy, reference, columns.get($column.name).unwrap_or_default(), self)
            }
        }
    };
}
pub(crate) use on_pairs_with;

/// [`Method`] for a loss of the pairs that `base` reads, made of sums that `$function` takes over tokens.
macro_rules! sums_for_base {
    ($config:ident, $function:path) => {
        sums_for_base!($config, $function, |_this| false);
    };
    ($config:ident, $function:path, |$this:ident| $prompt:expr) => {
        impl crate::Method for $config {
            const INPUT: crate::InputKind = crate::InputKind::PairTokens;

            fn needs_reference(&self) -> bool {
                self.base.needs_reference()
            }

            fn columns(&self) -> Vec<crate::Column> {
                self.base.columns()
            }

            fn reads_prompt(&self) -> bool {
                let $this = self;
                $prompt
            }

            fn couples_rows(&self) -> bool {
                self.base.couples_rows()
            }

            fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
                &self,
                batch: crate::Batch<P, C, E, D, T>,
            ) -> Result<LossTerms<P, E, D, T>, crate::ObjectiveError> {
                let (policy, reference, columns) = batch.into_pair_tokens(Self::NAME)?;
                $function(policy, reference, columns, self)
            }
        }
    };
}
pub(crate) use sums_for_base;
