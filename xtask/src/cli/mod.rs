//! What can be typed.
mod bench;
mod data;
mod experiment;
mod golden;
mod model;

pub use bench::*;
pub use data::*;
pub use experiment::*;
pub use golden::*;
pub use model::*;

use crate::evaluate::EvaluateCommand;
use clap::{Parser, Subcommand};

/// Align language models with preferences, and check that it is done right.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
pub struct Cli {
    /// what to do
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run an experiment: a recipe or a toy of this repository by name, or a TOML file of your own
    Experiment(ExperimentArgs),
    /// Check figures of reference implementations (losses, models, tokenised rows)
    Golden(GoldenArgs),
    /// Write the generated pages of docs/
    Docs,
    /// Prepare preference data, look at it, account for it
    #[command(subcommand)]
    Data(DataCommand),
    /// Make model folders
    #[command(subcommand)]
    Model(ModelCommand),
    /// Figures with intervals: a leaderboard, two runs side by side, the diagnosis of a run
    #[command(subcommand)]
    Evaluate(EvaluateCommand),
    /// Measure speed and memory; one JSON line per run
    #[command(subcommand)]
    Bench(BenchCommand),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
