//! Counting and printing.

/// Checks counted so far; failures are printed as they come.
#[derive(Debug, Default)]
pub struct Tally {
    /// checks whose figures all agreed
    pub passed: usize,
    /// checks with a figure that did not
    pub failed: usize,
    /// checks of something that the project does not have
    pub not_implemented: usize,
}

impl Tally {
    /// The last line of the command.
    pub fn summary(&self) -> String {
        format!("{} passed, {} failed, {} not implemented", self.passed, self.failed, self.not_implemented)
    }

    /// A check made of figures: `None` passed, `Some(line)` failed.
    pub(super) fn add(&mut self, id: &str, failure: Option<String>) {
        match failure {
            None => self.passed += 1,
            Some(line) => {
                println!("FAILED {id}: {line}");
                self.failed += 1;
            }
        }
    }

    /// Compares lists of numbers, each to `tolerance(expected)`.
    pub(super) fn close(&mut self, id: &str, found: &[f64], expected: &[f64], tolerance: impl Fn(f64) -> f64) {
        if found.len() != expected.len() {
            return self.add(id, Some(format!("expected {} figures, found {}", expected.len(), found.len())));
        }
        let off = found.iter().zip(expected).enumerate().find(|(_, (f, e))| !near(**f, **e, tolerance(**e)));
        self.add(id, off.map(|(i, (f, e))| format!("[{i}] expected {e}, found {f}")));
    }
}

/// Whether a figure is as near as it should be; NaN never is.
pub(super) fn near(found: f64, expected: f64, tolerance: f64) -> bool {
    (found - expected).abs() <= tolerance
}
