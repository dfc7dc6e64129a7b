//! `cargo xtask golden`: figures of reference implementations against our own.
mod bounds;
mod forward;
mod losses;
mod models;
mod preference;
mod tally;
mod tokenized;

use crate::cli::GoldenArgs;
use crate::error::XtaskError;
use std::path::{Path, PathBuf};
pub use tally::Tally;

/// The figures that come with the repository.
fn own(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(name)
}

/// Checks the given files, or the repository's own when none is given, and prints failures and counts.
///
/// # Errors
/// A file that cannot be read; any check that failed.
pub fn command(args: &GoldenArgs) -> Result<(), XtaskError> {
    let all = args.losses.is_none() && args.models.is_none() && args.tokenized.is_none();
    let pick = |given: &Option<PathBuf>, name: &str| given.clone().or_else(|| all.then(|| own(name)));
    let mut tally = Tally::default();
    if let Some(path) = pick(&args.losses, "losses.json") {
        losses::check(&path, &mut tally)?;
    }
    if let Some(path) = pick(&args.models, "models") {
        models::check(&path, &mut tally)?;
    }
    if let (Some(path), Some(tokenizer)) = (pick(&args.tokenized, "tokenized.json"), pick(&args.tokenizer, "tokenizer")) {
        tokenized::check(&path, &tokenizer, &mut tally)?;
    }
    println!("{}", tally.summary());
    if tally.failed > 0 { Err(XtaskError::Golden { failed: tally.failed }) } else { Ok(()) }
}

/// Reads a JSON file.
fn read(path: &Path) -> Result<serde_json::Value, XtaskError> {
    let text = std::fs::read_to_string(path).map_err(XtaskError::io(path))?;
    serde_json::from_str(&text).map_err(|e| broken(path, &e.to_string()))
}

fn broken(path: &Path, problem: &str) -> XtaskError {
    XtaskError::config(path.display().to_string(), problem, "the schema stands in docs/GOLDEN.md")
}
