//! Runs the experiments and checks of the workspace; no formula lives here.
//!
//! `cargo xtask experiment` glues the crates into one run: data, tokenizer, model, stages, evaluation, report.
//! `cargo xtask evaluate` makes figures of responses and verdicts, of two runs, or of one. `cargo xtask golden` checks figures of
//! reference implementations, `cargo xtask bench` measures speed and memory, `cargo xtask data` prepares preference data, and
//! `cargo xtask model` makes folders to do it with. `cargo xtask docs` writes the pages that are made from code.

pub mod bench;
pub mod cli;
pub mod config;
pub mod data;
pub mod docs;
pub mod error;
pub mod evaluate;
pub mod experiment;
pub mod golden;
pub mod model;
pub mod overrides;
pub mod recipes;

pub use error::XtaskError;

/// Carries out a command.
///
/// # Errors
/// One message that names what was wrong and what to do.
pub fn run(cli: cli::Cli) -> Result<(), XtaskError> {
    match cli.command {
        cli::Command::Experiment(args) => experiment::command(&args),
        cli::Command::Golden(args) => golden::command(&args),
        cli::Command::Docs => docs::command(),
        cli::Command::Data(command) => data::command(&command),
        cli::Command::Model(command) => model::command(&command),
        cli::Command::Evaluate(command) => evaluate::command(&command),
        cli::Command::Bench(command) => bench::command(&command),
    }
}
