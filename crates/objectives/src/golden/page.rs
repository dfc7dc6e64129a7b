//! The page that lists all methods with what has been checked of each.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

use super::plan::Plan;
use super::{GoldenError, check_losses};
use crate::{METHODS, ORIGINS, Objective, Origin, Per};
use tropism_golden::File;

const HEAD: &str = "# Methods

Written by `cargo xtask docs`; a test fails when it is out of date.

- *input*: what a method reads; *ref* says whether it compares with a reference model; *columns* are constants of the batch. All
  three are for default options.
- *golden*: entries of `tests/golden/losses.json` that pass in f64 and f32, alone or as a part of a combination.
- *proof*: what `crates/objectives/tests/suite/proof.rs` proves on random batches. D: gradients against central differences, with
  log-ratios up to tens of nats. O: order of rows. S: parts of a step add up to the step (not where rows depend on each other).
  J: junk in masked cells reaches nothing. W: weights do not depend on the policy. F: f32 against f64.
- *worked*: tests with numbers from elsewhere; every function also has an example with a number that runs with the docs.
- *identities*: further tests that name the method or use it. Those that bear its name are listed below the table.

";

/// A test of the suite: its name and what stands in it.
struct NamedTest<'s> {
    name: &'s str,
    body: &'s str,
}

/// Writes the page, from the reference figures and the sources of the tests.
///
/// # Errors
/// As [`check_losses`].
pub fn methods_page(losses: &str, tests: &[String]) -> Result<String, GoldenError> {
    let passed = passed_by_method(losses)?;
    let tests: Vec<NamedTest<'_>> = tests.iter().flat_map(|source| named_tests(source)).collect();
    let mut page = HEAD.to_owned();
    page.push_str("| method | file | source | input | ref | columns | golden | proof | worked | identities |\n");
    page.push_str("|---|---|---|---|---|---|---|---|---|---|\n");
    for (objective, origin) in Objective::defaults().iter().zip(ORIGINS) {
        page.push_str(&row(objective, origin, passed.get(origin.method).copied().unwrap_or(0), &tests));
    }
    page.push_str("\n## Tests by name\n\n");
    for origin in ORIGINS {
        let names: Vec<String> =
            tests.iter().filter(|t| owner(t) == Some(origin.method)).map(|t| format!("`{}`", t.name)).collect();
        if !names.is_empty() {
            // Writing to a string does not fail.
            let _ = writeln!(page, "- {}: {}", origin.method, names.join(", "));
        }
    }
    Ok(page)
}

/// One line of the table.
fn row(objective: &Objective, origin: &Origin, passed: usize, tests: &[NamedTest<'_>]) -> String {
    let columns: Vec<String> = objective.columns().iter().map(|c| format!("`{}`", c.name)).collect();
    let used: Vec<&NamedTest<'_>> = tests.iter().filter(|t| uses(t, origin)).collect();
    let worked = used.iter().filter(|t| t.name.contains("worked")).count();
    let reference = if objective.needs_reference() { "yes" } else { "no" };
    let file = origin.file.trim_start_matches("crates/objectives/src/");
    format!(
        "| {} | [{file}](../crates/objectives/src/{file}) | {} | {} | {reference} | {} | {passed} | {} | {worked} | {} |\n",
        origin.method,
        origin.source,
        objective.input(),
        columns.join(", "),
        proof(objective),
        used.len() - worked,
    )
}

/// The letters of what the proof covers.
fn proof(objective: &Objective) -> String {
    use crate::InputKind as Kind;
    let split = if objective.couples_rows() { "" } else { "S" };
    let cells = matches!(
        objective.input(),
        Kind::CompletionTokens | Kind::PairTokens | Kind::Lists | Kind::ScoreTables | Kind::ValuedTokens
    );
    let junk = if cells || objective.columns().iter().any(|c| c.per != Per::Row) { "J" } else { "" };
    format!("DO{split}{junk}WF")
}

/// Entries that pass, by each method that has a part in them.
fn passed_by_method(losses: &str) -> Result<BTreeMap<String, usize>, GoldenError> {
    let (report, file) = (check_losses(losses)?, serde_json::from_str::<File>(losses)?);
    let mut counts = BTreeMap::new();
    for entry in file.entries.iter().filter(|e| report.passed.contains(&e.id)) {
        let mut names = Vec::new();
        if let Some(plan) = Plan::of(entry) {
            methods_in(&serde_json::to_value(&plan.objective)?, &mut names);
        }
        names.sort_unstable();
        names.dedup();
        names.into_iter().for_each(|name| *counts.entry(name).or_insert(0) += 1);
    }
    Ok(counts)
}

/// Names of a method and of those that it is made of.
fn methods_in(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Object(table) => {
            names.extend(table.get("method").and_then(Value::as_str).map(str::to_owned));
            table.values().for_each(|v| methods_in(v, names));
        }
        Value::Array(items) => items.iter().for_each(|v| methods_in(v, names)),
        _ => {}
    }
}

/// The tests in a source: functions under `#[test]`, each up to where the next one starts.
fn named_tests(source: &str) -> Vec<NamedTest<'_>> {
    let parts = source.split("#[test]").skip(1);
    let test = |body| {
        let name = str::split_once(body, "fn ")?.1.split_once('(')?.0;
        Some(NamedTest { name, body })
    };
    parts.filter_map(test).collect()
}

/// Whether a test names a method or uses its options. The proofs and the checks of all methods count for none.
fn uses(test: &NamedTest<'_>, origin: &Origin) -> bool {
    let options = [format!("{}::default", origin.options), format!("{} {{", origin.options)];
    let used = options.iter().any(|options| holds(test.body, options));
    !test.body.contains("prove(") && (used || owner(test) == Some(origin.method))
}

/// Whether `text` holds `part`, not as the end of a longer name.
fn holds(text: &str, part: &str) -> bool {
    let before = |at: usize| text[..at].chars().next_back();
    text.match_indices(part).any(|(at, _)| before(at).is_none_or(|c| !c.is_alphanumeric() && c != '_'))
}

/// The method with whose name a test's name starts; of several the longest.
fn owner(test: &NamedTest<'_>) -> Option<&'static str> {
    let starts =
        |method: &&&str| test.name.strip_prefix(**method).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'));
    METHODS.iter().filter(starts).max_by_key(|m| m.len()).copied()
}
