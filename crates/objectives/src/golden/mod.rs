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

mod counts;
mod evaluate;
mod plan;

pub use tropism_golden::{Failure, GoldenError, Report};

pub use counts::passed_by_method;
use evaluate::evaluate;
use plan::Plan;
use tropism_golden::Precision;

/// Checks every entry of a file of reference figures.
///
/// # Errors
/// [`GoldenError`] when the text cannot be read, or an implemented entry lacks an input.
pub fn check_losses(json: &str) -> Result<Report, GoldenError> {
    tropism_golden::check(json, Plan::of, |precision, entry, plan, inputs| match precision {
        Precision::Double => evaluate::<f64>(entry, plan, inputs),
        Precision::Single => evaluate::<f32>(entry, plan, inputs),
    })
}
