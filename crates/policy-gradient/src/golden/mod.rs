//! Checks losses, gradients and advantages against a file of reference figures (feature `golden`).
//!
//! Form of the file and tolerances: `tropism_golden`. Families: `grpo`, `gmpo`, `rloo`, `grpo_advantages`,
//! `rloo_advantages`.
//!
//! ```
//! let json = r#"{
//!   "inputs": {"scores": {"rewards_per_func": [[1.0], [0.0], [0.5]], "reward_weights": [1.0], "num_generations": 3}},
//!   "entries": [{
//!     "id": "grpo_advantages/none", "family": "grpo_advantages", "inputs": "scores",
//!     "params": {"multi_objective_aggregation": "sum_then_normalize", "scale_rewards": "none"},
//!     "expected": {"advantages": [0.5, -0.5, 0.0]}
//!   }]
//! }"#;
//! let report = tropism_policy_gradient::golden::check_losses(json)?;
//! assert_eq!(report.passed, ["grpo_advantages/none"]);
//! # Ok::<(), tropism_policy_gradient::golden::GoldenError>(())
//! ```

mod advantages;
mod losses;
mod plan;

pub use tropism_golden::{Failure, GoldenError, Report};

use std::collections::{BTreeMap, BTreeSet};

use plan::Plan;
use tropism_golden::Precision;

/// Checks every entry of a file of reference figures.
///
/// # Errors
/// [`GoldenError`] when the text cannot be read, or an implemented entry lacks an input.
pub fn check_losses(json: &str) -> Result<Report, GoldenError> {
    tropism_golden::check(json, Plan::of, |precision, entry, plan, inputs| match (plan, precision) {
        (Plan::Loss(plan), Precision::Double) => losses::evaluate::<f64>(entry, plan, inputs),
        (Plan::Loss(plan), Precision::Single) => losses::evaluate::<f32>(entry, plan, inputs),
        // Advantages are f64 whatever the dtype of the losses.
        (Plan::Advantages(plan), _) => advantages::evaluate(plan, inputs),
    })
}

/// Entries of losses that pass, by method; advantages belong to no method.
///
/// # Errors
/// As [`check_losses`].
pub fn passed_by_method(json: &str) -> Result<BTreeMap<String, usize>, GoldenError> {
    tropism_golden::passed_by_name(json, &check_losses(json)?, |entry| match Plan::of(entry) {
        Some(Plan::Loss(plan)) => BTreeSet::from([plan.method.name().to_owned()]),
        _ => BTreeSet::new(),
    })
}
