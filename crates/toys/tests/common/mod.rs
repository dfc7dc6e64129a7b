//! Running a toy on a few seeds.
#![allow(clippy::unwrap_used, dead_code)]
use tropism_toys::{Outcome, Verdict, find};

/// Runs `seeds` seeds and makes sure that the named relations came out; fails on one that the toy does not state.
#[track_caller]
pub(crate) fn came_out(row: &str, seeds: usize, relations: &[&str]) -> Outcome {
    let outcome = find(&format!("{row}-toy")).unwrap().check(0, seeds).unwrap();
    for name in relations {
        let found = outcome.relations.iter().find(|r| r.statement == *name);
        let found = found.unwrap_or_else(|| panic!("`{name}` is not stated:\n{outcome}"));
        assert_eq!(found.verdict, Verdict::CameOut, "`{name}`:\n{outcome}");
    }
    outcome
}

/// The mean of a figure.
#[track_caller]
pub(crate) fn mean(outcome: &Outcome, figure: &str) -> f64 {
    outcome.figure(figure).unwrap_or_else(|| panic!("`{figure}` is not measured")).estimate.value
}
