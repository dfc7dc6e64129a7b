//! Loss values, gradients and advantages.
use super::{Tally, broken};
use crate::error::XtaskError;
use std::path::Path;
use tropism_objectives::golden::Report;

/// Each entry belongs to the crate that implements it.
pub(super) fn check(path: &Path, tally: &mut Tally) -> Result<(), XtaskError> {
    let text = std::fs::read_to_string(path).map_err(XtaskError::io(path))?;
    let check = |report: Result<Report, _>| {
        report.map_err(|e: tropism_objectives::golden::GoldenError| broken(path, &e.to_string()))
    };
    let objectives = check(tropism_objectives::golden::check_losses(&text))?;
    let policy_gradient = check(tropism_policy_gradient::golden::check_losses(&text))?;
    for report in [&objectives, &policy_gradient] {
        let mut failed: Vec<&str> = vec![];
        for f in &report.failures {
            println!("FAILED {} {}: expected {}, found {}", f.id, f.figure, f.expected, f.found);
            if failed.last() != Some(&f.id.as_str()) {
                failed.push(&f.id);
            }
        }
        tally.passed += report.passed.len();
        tally.failed += failed.len();
    }
    let nowhere = objectives.not_implemented.iter().filter(|id| policy_gradient.not_implemented.contains(*id));
    tally.not_implemented += nowhere.count();
    Ok(())
}
