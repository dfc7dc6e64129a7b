//! What every loss of this crate says about itself.

use std::fmt;

use dfdx::prelude::*;
use tropism_core::{Column, Columns, LossTerms, Per};

use super::{ErrorTable, MatchErrors, PairErrors, SampledSteps, SegmentPairs, StepPairs};
use crate::DiffusionError;

/// The kinds of input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiffusionKind {
    /// Errors of pairs, of policy and reference.
    Pairs,
    /// Errors of pairs of the policy alone.
    PolicyPairs,
    /// Errors of samples of the policy alone.
    Samples,
    /// Errors of ranked samples, of policy and reference.
    Lists,
    /// Errors of pairs by segment, of policy and reference.
    Segments,
    /// Log-densities of a denoising step of pairs, of policy and reference.
    StepPairs,
    /// Errors of samples with advantages.
    Matches,
    /// Log-densities of sampled denoising steps.
    Steps,
}

impl DiffusionKind {
    /// Whether it holds figures of a reference beside the policy's.
    pub fn has_reference(self) -> bool {
        matches!(self, Self::Pairs | Self::Lists | Self::Segments | Self::StepPairs)
    }
}

impl fmt::Display for DiffusionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pairs => "errors of pairs",
            Self::PolicyPairs => "errors of pairs without a reference",
            Self::Samples => "errors of samples",
            Self::Lists => "errors of ranked samples",
            Self::Segments => "errors of pairs by segment",
            Self::StepPairs => "denoising steps of pairs",
            Self::Matches => "errors of samples with advantages",
            Self::Steps => "sampled denoising steps",
        })
    }
}

/// One batch of figures of the policy, with those of the reference where the kind has one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum DiffusionInput<P: Dim, K: Dim, E: Dtype, D: Device<E>, T = NoneTape> {
    /// See [`DiffusionKind::Pairs`].
    Pairs(PairErrors<P, E, D, T>, PairErrors<P, E, D>),
    /// See [`DiffusionKind::PolicyPairs`].
    PolicyPairs(PairErrors<P, E, D, T>),
    /// See [`DiffusionKind::Samples`].
    Samples(Tensor<(P,), E, D, T>),
    /// See [`DiffusionKind::Lists`].
    Lists(ErrorTable<P, K, E, D, T>, ErrorTable<P, K, E, D>),
    /// See [`DiffusionKind::Segments`].
    Segments(SegmentPairs<P, K, E, D, T>, SegmentPairs<P, K, E, D>),
    /// See [`DiffusionKind::StepPairs`].
    StepPairs(StepPairs<P, E, D, T>, StepPairs<P, E, D>),
    /// See [`DiffusionKind::Matches`].
    Matches(MatchErrors<P, E, D, T>),
    /// See [`DiffusionKind::Steps`].
    Steps(SampledSteps<P, E, D, T>),
}

impl<P: Dim, K: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>> DiffusionInput<P, K, E, D, T> {
    /// The kind.
    pub fn kind(&self) -> DiffusionKind {
        match self {
            Self::Pairs(..) => DiffusionKind::Pairs,
            Self::PolicyPairs(..) => DiffusionKind::PolicyPairs,
            Self::Samples(..) => DiffusionKind::Samples,
            Self::Lists(..) => DiffusionKind::Lists,
            Self::Segments(..) => DiffusionKind::Segments,
            Self::StepPairs(..) => DiffusionKind::StepPairs,
            Self::Matches(..) => DiffusionKind::Matches,
            Self::Steps(..) => DiffusionKind::Steps,
        }
    }

    /// Entries of a column that has one per `per`.
    fn entries(&self, per: Per) -> usize {
        let cells = |(rows, columns): (usize, usize)| if per == Per::Row { rows } else { rows * columns };
        match self {
            Self::Pairs(policy, _) | Self::PolicyPairs(policy) => policy.rows(),
            Self::Samples(errors) => errors.shape().0.size(),
            Self::Lists(policy, _) => cells(policy.size()),
            Self::Segments(policy, _) => cells(policy.first.size()),
            Self::StepPairs(policy, _) => policy.rows(),
            Self::Matches(errors) => errors.rows(),
            Self::Steps(steps) => steps.rows(),
        }
    }
}

/// The input of a loss with the constants that it reads. `K` is the axis of lists or segments where there is one, otherwise any.
#[derive(Clone, Debug)]
pub struct DiffusionBatch<P: Dim, K: Dim, E: Dtype, D: Device<E>, T = NoneTape> {
    pub(crate) input: DiffusionInput<P, K, E, D, T>,
    pub(crate) columns: Columns,
}

impl<P: Dim, K: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>> From<DiffusionInput<P, K, E, D, T>>
    for DiffusionBatch<P, K, E, D, T>
{
    fn from(input: DiffusionInput<P, K, E, D, T>) -> Self {
        Self { input, columns: Columns::default() }
    }
}

impl<P: Dim, K: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>> DiffusionBatch<P, K, E, D, T> {
    /// Adds constants.
    #[must_use]
    pub fn with_columns(self, columns: Columns) -> Self {
        Self { columns, ..self }
    }

    /// Fails unless kind and constants are those that `method` reads.
    pub(crate) fn check<M: DiffusionMethod>(&self, name: &'static str, method: &M) -> Result<(), DiffusionError> {
        if self.input.kind() != method.input() {
            return Err(wrong(name, method.input(), self.input.kind()));
        }
        Ok(Column::check_all(name, &method.columns(), &self.columns, |per| self.input.entries(per))?)
    }
}

/// The error of a batch of another kind.
pub(crate) fn wrong(method: &'static str, needs: DiffusionKind, found: DiffusionKind) -> DiffusionError {
    DiffusionError::Input { method, problem: format!("it reads {needs} and was given {found}") }
}

/// A loss with its options: what it reads, and its value. [`DiffusionObjective`](super::DiffusionObjective) is built on it.
pub trait DiffusionMethod {
    /// The kind of input.
    fn input(&self) -> DiffusionKind;

    /// The constants that the loss reads beside it.
    fn columns(&self) -> Vec<Column> {
        Vec::new()
    }

    /// The loss of a batch that has been checked to fit.
    ///
    /// # Errors
    /// Those of the method's function.
    fn loss<P: Dim, K: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        batch: DiffusionBatch<P, K, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, DiffusionError>;
}

/// [`tropism_core::options!`] with this crate's error.
macro_rules! options {
    ($($declaration:tt)*) => {
        tropism_core::options! { crate::DiffusionError; $($declaration)* }
    };
}
pub(crate) use options;

/// Implements [`DiffusionMethod`] for a method of one kind: its columns, and the call of its function on the parts of the input.
macro_rules! method {
    ($config:ident, $kind:ident($($part:pat),*), [$($column:expr),*], |$this:ident, $read:ident| $call:expr) => {
        impl crate::objectives::DiffusionMethod for $config {
            fn input(&self) -> crate::objectives::DiffusionKind {
                crate::objectives::DiffusionKind::$kind
            }

            fn columns(&self) -> Vec<tropism_core::Column> {
                vec![$($column),*]
            }

            fn loss<P: Dim, K: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
                &self,
                batch: crate::objectives::DiffusionBatch<P, K, E, D, T>,
            ) -> Result<LossTerms<P, E, D, T>, DiffusionError> {
                let $this = self;
                let columns = batch.columns;
                let $read = |name: &str| columns.get(name).unwrap_or_default().to_vec();
                let _ = &$read;
                match batch.input {
                    crate::objectives::DiffusionInput::$kind($($part),*) => $call,
                    other => Err(crate::objectives::method::wrong(Self::NAME, self.input(), other.kind())),
                }
            }
        }
    };
}
pub(crate) use method;
