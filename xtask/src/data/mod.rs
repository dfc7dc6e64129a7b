//! `data`: preference data prepared, looked at and accounted for.
mod audit;
mod build;
mod colour;
mod config;
mod inspect;
mod samples;

pub use config::{DataConfig, Source};

use crate::cli::DataCommand;
use crate::error::XtaskError;

/// Carries out a command of `data`.
///
/// # Errors
/// The first thing that is wrong, by file, row or key.
pub fn command(command: &DataCommand) -> Result<(), XtaskError> {
    match command {
        DataCommand::Build(args) => build::command(args),
        DataCommand::Inspect(args) => inspect::command(args),
        DataCommand::Audit(args) => audit::command(args),
    }
}

/// A bar of progress on stderr, hidden where that is no terminal.
fn bar(total: Option<u64>, what: &'static str) -> indicatif::ProgressBar {
    use indicatif::{ProgressBar, ProgressStyle};
    let (bar, template) = match total {
        Some(total) => (ProgressBar::new(total), "{msg:12} {bar:30} {human_pos}/{human_len} ({per_sec})"),
        None => (ProgressBar::new_spinner(), "{msg:12} {spinner} {human_pos} ({per_sec})"),
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style).with_message(what),
        Err(_) => bar.with_message(what),
    }
}
