//! The page that lists all methods with what has been checked of each.
use super::suite::NamedTest;
use std::fmt::Write;
use tropism_objectives::Origin;

pub(super) const HEAD: &str = "# Methods

Written by `cargo xtask docs`; a test fails when it is out of date. A section for each crate of losses, with these columns:

- *input*: what a method reads; *ref* says whether it compares with a reference model; *columns* are further constants of the
  batch or parts of a rollout, with a `?` where it can do without. All three are for default options.
- *golden*: entries of `tests/golden/losses.json` that pass in f64 and f32, alone or as a part of a combination.
- *proof*: what `tests/suite/proof.rs` of the crate proves on random batches. D: gradients against central differences, with
  log-ratios up to tens of nats. O: order of rows. S: parts of a step add up to the step. J: junk in masked cells reaches
  nothing. W: weights do not depend on the policy. F: f32 against f64. L: rows that are left out are as good as absent.
- *worked*: tests with numbers from elsewhere; every function also has an example with a number that runs with the docs.
- *identities*: further tests that name the method or use it. Those that bear its name, or stand in a file that does, are
  listed below each table.

Functions that are no losses (advantages, token rewards, searches, verifiers) have no row; their tests stand beside those of the
losses.
";

/// The methods of a crate.
pub(super) struct Section {
    pub(super) title: &'static str,
    pub(super) krate: &'static str,
    pub(super) rows: Vec<Row>,
}

/// A method, with what does not come from its tests.
pub(super) struct Row {
    pub(super) origin: Origin,
    pub(super) input: String,
    pub(super) reference: &'static str,
    pub(super) columns: Vec<String>,
    pub(super) golden: usize,
    pub(super) proof: String,
}

/// The table of a crate and the names of its tests.
pub(super) fn section(title: &str, krate: &str, rows: &[Row], tests: &[NamedTest]) -> String {
    let methods: Vec<&str> = rows.iter().map(|row| row.origin.method).collect();
    let mut page = format!("\n## {title}: `tropism-{krate}`\n\n");
    page.push_str("| method | file | source | input | ref | columns | golden | proof | worked | identities |\n");
    page.push_str("|---|---|---|---|---|---|---|---|---|---|\n");
    rows.iter().for_each(|row| page.push_str(&line(krate, row, &methods, tests)));
    page.push_str("\n### Tests by name\n\n");
    for method in &methods {
        let owned = tests.iter().filter(|t| t.owner(&methods) == Some(*method));
        let names: Vec<String> = owned.map(|t| format!("`{}`", t.name)).collect();
        if !names.is_empty() {
            // Writing to a string does not fail.
            let _ = writeln!(page, "- {method}: {}", names.join(", "));
        }
    }
    page
}

/// One line of the table.
fn line(krate: &str, row: &Row, methods: &[&str], tests: &[NamedTest]) -> String {
    let used: Vec<&NamedTest> = tests.iter().filter(|t| t.uses(&row.origin, methods)).collect();
    let worked = used.iter().filter(|t| t.name.contains("worked")).count();
    let folder = format!("crates/{krate}/src/");
    let file = row.origin.file.trim_start_matches(&folder);
    let columns: Vec<String> = row.columns.iter().map(|c| format!("`{c}`")).collect();
    format!(
        "| {} | [{file}](../{folder}{file}) | {} | {} | {} | {} | {} | {} | {worked} | {} |\n",
        row.origin.method,
        row.origin.source,
        row.input,
        row.reference,
        columns.join(", "),
        row.golden,
        row.proof,
        used.len() - worked,
    )
}
