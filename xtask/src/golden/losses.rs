//! Loss values and gradients.
use super::{Tally, broken};
use crate::error::XtaskError;
use std::path::Path;

pub(super) fn check(path: &Path, tally: &mut Tally) -> Result<(), XtaskError> {
    let text = std::fs::read_to_string(path).map_err(XtaskError::io(path))?;
    let report = tropism_objectives::golden::check_losses(&text).map_err(|e| broken(path, &e.to_string()))?;
    let mut failed: Vec<&str> = vec![];
    for f in &report.failures {
        println!("FAILED {} {}: expected {}, found {}", f.id, f.figure, f.expected, f.found);
        if failed.last() != Some(&f.id.as_str()) {
            failed.push(&f.id);
        }
    }
    tally.passed += report.passed.len();
    tally.failed += failed.len();
    tally.not_implemented += report.not_implemented.len();
    Ok(())
}
