//! Files of reference figures, and the comparison with what a crate computes.
//!
//! A file is JSON with `inputs` (named sets of arrays) and `entries`; an entry names its input set, the `params` of the
//! loss, `expected` figures and `grad` arrays. Each entry whose method and options a crate implements is computed in f64 and
//! in f32 and compared number by number:
//!
//! * figures within 1e-9 (f64) or 1e-5 (f32) of `max(1, |expected|)`;
//! * gradients of the mean loss within the same share of the array's largest element;
//! * in f32 within 1e-4 for entries of `seed` 3, whose log-ratios are extreme.
//!
//! An entry with an option that the method does not read, set to anything but its neutral value, or with an unknown option,
//! counts as not implemented, never as passed; [`Params`] keeps the books.

mod compare;
mod params;
mod schema;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;

use thiserror::Error;

pub use params::Params;
pub use schema::{Array, Entry, File, Inputs, numbers};

use compare::Comparison;

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
    /// What is computed; NaN when nothing is, in which case `figure` says why.
    pub found: f64,
}

/// Outcome of a check.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Entries of which every compared number agrees, in f64 and f32.
    pub passed: Vec<String>,
    /// Numbers that disagree.
    pub failures: Vec<Failure>,
    /// Entries of methods or options that the crate does not have.
    pub not_implemented: Vec<String>,
    /// Figures of implemented entries that the method does not define, as `id figure`; they were not compared.
    pub uncompared: Vec<String>,
    /// How many numbers were compared, in both dtypes together.
    pub compared: usize,
}

/// What a crate computes for an entry, under the names of the file.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Scalars as one number, the others one number per row.
    pub figures: BTreeMap<String, Vec<f64>>,
    /// Gradients of the mean loss, in row-major order.
    pub grads: BTreeMap<String, Vec<f64>>,
    /// Figures that are compared in ascending order, for the file does not list them by row.
    pub sorted: Vec<&'static str>,
    /// Elements of figures that are compared, for figures that are not defined in masked cells.
    pub counted: BTreeMap<String, Vec<bool>>,
}

/// A result whose error, unless it is a [`GoldenError`], is noted as a failure.
pub type Fallible<T> = Result<T, Box<dyn Error>>;

/// Floating-point types in which a crate computes figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// f64.
    Double,
    /// f32.
    Single,
}

/// Checks every entry of a file: `plan` says what an entry asks for, `None` if it is not implemented; `evaluate` computes
/// it.
///
/// # Errors
/// [`GoldenError`] when the text cannot be read, or an implemented entry lacks an input.
pub fn check<P>(
    json: &str,
    plan: impl Fn(&Entry) -> Option<P>,
    evaluate: impl Fn(Precision, &Entry, &P, &Inputs<'_>) -> Fallible<Outcome>,
) -> Result<Report, GoldenError> {
    let file: File = serde_json::from_str(json)?;
    let mut report = Report::default();
    for entry in &file.entries {
        match plan(entry) {
            Some(plan) => {
                let inputs = Inputs::of(entry, &file)?;
                check_entry(entry, |precision| evaluate(precision, entry, &plan, &inputs), &mut report)?;
            }
            None => report.not_implemented.push(entry.id.clone()),
        }
    }
    Ok(report)
}

/// How many entries of a checked file passed, under each of the names that `names` gives an entry.
///
/// # Errors
/// [`GoldenError::Json`] when the text cannot be read.
pub fn passed_by_name(
    json: &str,
    report: &Report,
    names: impl Fn(&Entry) -> BTreeSet<String>,
) -> Result<BTreeMap<String, usize>, GoldenError> {
    let (file, passed): (File, BTreeSet<&String>) = (serde_json::from_str(json)?, report.passed.iter().collect());
    let mut counts = BTreeMap::new();
    for entry in file.entries.iter().filter(|e| passed.contains(&e.id)) {
        names(entry).into_iter().for_each(|name| *counts.entry(name).or_insert(0) += 1);
    }
    Ok(counts)
}

/// Compares one entry in both dtypes.
fn check_entry(
    entry: &Entry,
    evaluate: impl Fn(Precision) -> Fallible<Outcome>,
    report: &mut Report,
) -> Result<(), GoldenError> {
    let f32_tolerance = if entry.seed == 3 { 1e-4 } else { 1e-5 };
    let mut comparison = Comparison::of(entry);
    match evaluate(Precision::Double) {
        Ok(outcome) => {
            comparison.check("f64", 1e-9, &outcome);
            report.uncompared.extend(comparison.uncompared(&outcome));
        }
        Err(error) => comparison.refuse("f64", &unless_input(error)?),
    }
    match evaluate(Precision::Single) {
        Ok(outcome) => comparison.check("f32", f32_tolerance, &outcome),
        Err(error) => comparison.refuse("f32", &unless_input(error)?),
    }
    comparison.conclude(report);
    Ok(())
}

/// An error of the computation; one of the file ends the check.
fn unless_input(error: Box<dyn Error>) -> Result<Box<dyn Error>, GoldenError> {
    match error.downcast::<GoldenError>() {
        Ok(input) => Err(*input),
        Err(other) => Ok(other),
    }
}
