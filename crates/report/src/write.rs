//! Writing the page to a file.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use crate::{Evaluation, Report, ReportError, render, render_evaluation};

/// Renders `report` and writes it to `path`.
///
/// The page is written under a temporary name beside it and renamed when it is complete, so that a reader never sees
/// half a page and a failure leaves an older report as it was.
///
/// # Errors
/// [`ReportError::Chart`] from [`render`]; [`ReportError::Io`] when the folder does not exist or cannot be written.
pub fn write(report: &Report, path: impl AsRef<Path>) -> Result<(), ReportError> {
    replace(path.as_ref(), &render(report)?)
}

/// Renders an evaluation and writes it to `path`, as [`write()`] does.
///
/// # Errors
/// As [`write()`].
pub fn write_evaluation(evaluation: &Evaluation, path: impl AsRef<Path>) -> Result<(), ReportError> {
    replace(path.as_ref(), &render_evaluation(evaluation)?)
}

/// Puts a text in place of whatever is at `path`.
fn replace(path: &Path, html: &str) -> Result<(), ReportError> {
    let io = |source| ReportError::Io { path: path.to_path_buf(), source };
    let name = path.file_name().ok_or_else(|| io(io::ErrorKind::InvalidFilename.into()))?;
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(temporary);
    let done = fill(&temporary, html).and_then(|()| fs::rename(&temporary, path));
    if done.is_err() {
        // The first error is the one to report; what is left over is removed as far as possible.
        let _ = fs::remove_file(&temporary);
    }
    done.map_err(io)
}

/// Writes and syncs the whole text.
fn fill(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
