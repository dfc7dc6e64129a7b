//! Errors of the objectives.

use thiserror::Error;
use tropism_core::CoreError;

/// What can go wrong in a loss: a bad option, or inputs that do not belong together.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum ObjectiveError {
    /// An option has a value that the method cannot use.
    #[error("{method}: `{key}` is {value}; it must be {requirement}")]
    Config {
        /// The method.
        method: &'static str,
        /// The option.
        key: &'static str,
        /// Its value.
        value: f64,
        /// What is allowed.
        requirement: &'static str,
    },
    /// The method compares with a reference, and none was given.
    #[error("{method} needs the log-probabilities of a reference model; none were given")]
    MissingReference {
        /// The method.
        method: &'static str,
    },
    /// The method reads no reference, but one was given.
    #[error("{method} reads no reference model; leave its log-probabilities out")]
    UnusedReference {
        /// The method.
        method: &'static str,
    },
    /// The method works on single completions.
    #[error("{method} is no pairwise loss; give it single completions")]
    NotPairwise {
        /// The method.
        method: &'static str,
    },
    /// The method works on pairs.
    #[error("{method} is a pairwise loss; give it chosen and rejected completions")]
    Pairwise {
        /// The method.
        method: &'static str,
    },
    /// Policy and reference counted different numbers of tokens, so they did not score the same text.
    #[error(
        "{side} completion of row {row} has {policy} tokens under the policy and {reference} under the \
         reference; score both with the same tokens and mask"
    )]
    UnevenLengths {
        /// `chosen` or `rejected`.
        side: &'static str,
        /// Row, counted from 0.
        row: usize,
        /// Tokens of the policy.
        policy: f64,
        /// Tokens of the reference.
        reference: f64,
    },
    /// A container or the tensor backend refused its input.
    #[error(transparent)]
    Core(#[from] CoreError),
}

impl ObjectiveError {
    /// Fails unless `ok`, naming the option and its value.
    pub(crate) fn check(
        ok: bool,
        (method, key, value): (&'static str, &'static str, f64),
        requirement: &'static str,
    ) -> Result<(), Self> {
        if ok { Ok(()) } else { Err(Self::Config { method, key, value, requirement }) }
    }

    /// Fails unless the option is positive and finite.
    pub(crate) fn check_positive(method: &'static str, key: &'static str, value: f64) -> Result<(), Self> {
        let ok = value > 0.0 && value.is_finite();
        Self::check(ok, (method, key, value), "positive and finite")
    }
}
