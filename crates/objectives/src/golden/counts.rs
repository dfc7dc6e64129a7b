//! How many entries of the file each method passes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::plan::Plan;
use super::{GoldenError, check_losses};

/// Entries that pass, by each method that has a part in them.
///
/// # Errors
/// As [`check_losses`].
pub fn passed_by_method(json: &str) -> Result<BTreeMap<String, usize>, GoldenError> {
    tropism_golden::passed_by_name(json, &check_losses(json)?, |entry| {
        let mut names = BTreeSet::new();
        // A method that does not serialise would be counted nowhere.
        if let Some(Ok(value)) = Plan::of(entry).map(|plan| serde_json::to_value(&plan.objective)) {
            methods_in(&value, &mut names);
        }
        names
    })
}

/// Names of a method and of those that it is made of.
fn methods_in(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(table) => {
            names.extend(table.get("method").and_then(Value::as_str).map(str::to_owned));
            table.values().for_each(|v| methods_in(v, names));
        }
        Value::Array(items) => items.iter().for_each(|v| methods_in(v, names)),
        _ => {}
    }
}
