//! What can be typed.
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

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
    /// Run an experiment: a recipe of this repository by name, or a TOML file of your own
    Experiment(ExperimentArgs),
    /// Check figures of reference implementations (losses, models, tokenised rows)
    Golden(GoldenArgs),
}

/// Arguments of `experiment`.
#[derive(Debug, Default, Args)]
#[command(after_help = "\
Examples:
  cargo xtask experiment quickstart
  cargo xtask experiment hh --set data.path=pairs.jsonl.gz
  cargo xtask experiment dpo --set model.path=MODEL --set data.path=pairs.jsonl --set data.limit=1000
  cargo xtask experiment my.toml --seed 1 --set stages.dpo.objective.beta=0.05 --dry-run
  cargo xtask experiment --resume runs/my-seed1")]
pub struct ExperimentArgs {
    /// Name of a recipe (see --list) or a TOML file
    #[arg(required_unless_present_any = ["list", "resume"], value_name = "NAME|FILE.toml")]
    pub experiment: Option<String>,
    /// Seed of every random choice [default: the recipe's]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Folder of the run; must not exist yet [default: runs/NAME-seedN]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Change one option; KEY is a dotted path, a stage is addressed by its name (stages.dpo.learning_rate=1e-5)
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Check everything and print the resolved configuration, but run nothing
    #[arg(long)]
    pub dry_run: bool,
    /// List the recipes
    #[arg(long, conflicts_with_all = ["experiment", "resume"])]
    pub list: bool,
    /// Go on with an interrupted run, from its last checkpoint, to the same bits as if it had not been interrupted
    #[arg(long, value_name = "DIR", conflicts_with_all = ["experiment", "seed", "out", "set"])]
    pub resume: Option<PathBuf>,
}

/// Arguments of `golden`.
#[derive(Debug, Default, Args)]
#[command(after_help = "\
Without arguments, the figures under tests/golden of this repository are checked.
Each failure is one line with the expected and the found value; the last line counts
passed, failed and not implemented. Anything failed: exit code 1.")]
pub struct GoldenArgs {
    /// File of loss values and gradients
    #[arg(long, value_name = "FILE")]
    pub losses: Option<PathBuf>,
    /// Folder of model folders, each with a forward.json
    #[arg(long, value_name = "DIR")]
    pub models: Option<PathBuf>,
    /// File of tokenised rows; needs --tokenizer
    #[arg(long, value_name = "FILE", requires = "tokenizer")]
    pub tokenized: Option<PathBuf>,
    /// Folder of the tokenizer that made them
    #[arg(long, value_name = "DIR", requires = "tokenized")]
    pub tokenizer: Option<PathBuf>,
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
