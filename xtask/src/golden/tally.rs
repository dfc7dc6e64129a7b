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

    /// A check in which the reference is wrong by its own account: `None` where the project's stricter answer was found. It
    /// passes, and is printed with its name.
    pub(super) fn exception(&mut self, id: &str, name: &str, failure: Option<String>) {
        if failure.is_some() {
            return self.add(id, failure);
        }
        println!("stricter than the reference, {id}: {name}");
        self.passed += 1;
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

    /// Compares lists of numbers, each to `tolerance(its index)`.
    pub(super) fn close(&mut self, id: &str, found: &[f64], expected: &[f64], tolerance: impl Fn(usize) -> f64) {
        if found.len() != expected.len() {
            return self.add(id, Some(format!("expected {} figures, found {}", expected.len(), found.len())));
        }
        let off = found.iter().zip(expected).enumerate().find(|(i, (f, e))| !near(**f, **e, tolerance(*i)));
        self.add(id, off.map(|(i, (f, e))| format!("[{i}] expected {e}, found {f}, may differ by {:.1e}", tolerance(i))));
    }

    /// Compares lists of numbers: the root mean square of the differences to the first bound, each to the second.
    pub(super) fn spread(&mut self, id: &str, found: &[f64], expected: &[f64], (rms, each): (f64, f64)) {
        let squares: f64 = found.iter().zip(expected).map(|(f, e)| (f - e) * (f - e)).sum();
        let off = (squares / expected.len().max(1) as f64).sqrt();
        if found.len() == expected.len() && off > rms {
            return self.add(id, Some(format!("the figures are off by {off:.2e} (root mean square), {rms:.2e} is allowed")));
        }
        self.close(id, found, expected, |_| each);
    }
}

/// Whether a figure is as near as it should be; NaN never is.
pub(super) fn near(found: f64, expected: f64, tolerance: f64) -> bool {
    (found - expected).abs() <= tolerance
}
