//! `cargo xtask evaluate`: figures with intervals of models, runs and a run.
mod args;
mod board;
mod compare;
mod diagnose;
mod judge;
mod output;
mod pairs;
mod runs;

pub use args::EvaluateCommand;

use crate::error::XtaskError;

/// Carries out `cargo xtask evaluate`.
///
/// # Errors
/// One message that names folder, file, line or column, and what to do.
pub fn command(command: &EvaluateCommand) -> Result<(), XtaskError> {
    let (output, to) = match command {
        EvaluateCommand::Leaderboard(args) => (board::leaderboard(args)?, &args.to),
        EvaluateCommand::Compare(args) => (compare::compare(args)?, &args.to),
        EvaluateCommand::Diagnose(args) => (diagnose::diagnose(args)?, &args.to),
    };
    output.deliver(to)
}
