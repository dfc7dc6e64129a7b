//! Checks losses and gradients against a file of reference figures (feature `golden`).
//!
//! The file is JSON with `inputs` (named sets of token log-probabilities and masks) and `entries`; an entry names its
//! input set, the `params` of the loss, `expected` figures and `grad` arrays. Each entry whose method and options this
//! crate implements is computed in f64 and in f32 and compared number by number:
//!
//! * figures within 1e-9 (f64) or 1e-5 (f32) of `max(1, |expected|)`;
//! * gradients of the mean loss within the same share of the array's largest element;
//! * in f32 within 1e-4 for entries of `seed` 3, whose log-ratios are extreme.
//!
//! An entry with an option that the method does not read, set to anything but its neutral value, or with an option
//! unknown here, counts as not implemented, never as passed.
//!
//! ```
//! let json = r#"{
//!   "inputs": {"pair": {
//!     "policy_chosen_token_logps": [[-0.5, -1.0, -0.3]], "chosen_mask": [[1, 1, 1]],
//!     "policy_rejected_token_logps": [[-0.9, -1.6, 9.9]], "rejected_mask": [[1, 1, 0]]
//!   }},
//!   "entries": [{
//!     "id": "cpo/simpo", "family": "cpo", "seed": 0, "inputs": "pair",
//!     "params": {"loss_type": "simpo", "beta": 2.0, "simpo_gamma": 1.0, "cpo_alpha": 0.0},
//!     "expected": {"loss": 0.554355244},
//!     "grad": {"policy_rejected_token_logps": [[0.425557483, 0.425557483, 0.0]]}
//!   }]
//! }"#;
//! let report = tropism_objectives::golden::check_losses(json)?;
//! assert_eq!(report.passed, ["cpo/simpo"]);
//! assert!(report.failures.is_empty() && report.not_implemented.is_empty());
//! # Ok::<(), tropism_objectives::golden::GoldenError>(())
//! ```

mod compare;
mod evaluate;
mod page;
mod params;
mod plan;
mod schema;

use thiserror::Error;

use compare::Comparison;
use evaluate::{Outcome, evaluate};
pub use page::methods_page;
use plan::Plan;
use schema::{Entry, File, Inputs};

/// Why a file could not be checked at all.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GoldenError {
    /// The text is no JSON of the expected form.
    #[error("reference figures: {0}")]
    Json(#[from] serde_json::Error),
    /// An entry's input set, or an array in it, is missing or has the wrong form.
    #[error("reference figures: {id} needs input `{key}`, which {problem}")]
    Input {
        /// The entry.
        id: String,
        /// The input set or array.
        key: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// One number that differs from its reference.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// The entry.
    pub id: String,
    /// Dtype and name of the figure or gradient, with the element's place in row-major order.
    pub figure: String,
    /// The reference.
    pub expected: f64,
    /// What this crate computes; NaN when it computes nothing, in which case `figure` says why.
    pub found: f64,
}

/// Outcome of a check.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Entries of which every compared number agrees, in f64 and f32.
    pub passed: Vec<String>,
    /// Numbers that disagree.
    pub failures: Vec<Failure>,
    /// Entries of methods or options that this crate does not have.
    pub not_implemented: Vec<String>,
    /// Figures of implemented entries that the method does not define, as `id figure`; they were not compared.
    pub uncompared: Vec<String>,
    /// How many numbers were compared, in both dtypes together.
    pub compared: usize,
}

/// Checks every entry of a file of reference figures.
///
/// # Errors
/// [`GoldenError`] when the text cannot be read, or an implemented entry lacks an input.
pub fn check_losses(json: &str) -> Result<Report, GoldenError> {
    let file: File = serde_json::from_str(json)?;
    let mut report = Report::default();
    for entry in &file.entries {
        match Plan::of(entry) {
            Some(plan) => check_entry(entry, &plan, &Inputs::of(entry, &file)?, &mut report)?,
            None => report.not_implemented.push(entry.id.clone()),
        }
    }
    Ok(report)
}

/// Compares one entry in both dtypes.
fn check_entry(entry: &Entry, plan: &Plan, inputs: &Inputs, report: &mut Report) -> Result<(), GoldenError> {
    let f32_tolerance = if entry.seed == 3 { 1e-4 } else { 1e-5 };
    let mut comparison = Comparison::of(entry);
    match evaluate::<f64>(entry, plan, inputs) {
        Ok(outcome) => {
            comparison.check("f64", 1e-9, &outcome);
            report.uncompared.extend(comparison.uncompared(&outcome));
        }
        Err(error) => comparison.refuse("f64", &unless_input(error)?),
    }
    match evaluate::<f32>(entry, plan, inputs) {
        Ok(outcome) => comparison.check("f32", f32_tolerance, &outcome),
        Err(error) => comparison.refuse("f32", &unless_input(error)?),
    }
    comparison.conclude(report);
    Ok(())
}

/// An error of the computation; one of the file ends the check.
fn unless_input(error: Box<dyn std::error::Error>) -> Result<Box<dyn std::error::Error>, GoldenError> {
    match error.downcast::<GoldenError>() {
        Ok(input) => Err(*input),
        Err(other) => Ok(other),
    }
}
