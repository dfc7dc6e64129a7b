//! What can be typed after `data`.
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// The commands of `data`.
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// Build pairs, rankings, groups or single completions from a file, into a folder that experiments read
    Build(DataBuildArgs),
    /// Show rows as the model sees them: tokens, mask, template
    Inspect(DataInspectArgs),
    /// Show what was read, left out and written; of a plain file, what reading it would find
    Audit(DataAuditArgs),
}

/// Arguments of `data build`.
#[derive(Debug, Default, Args)]
#[command(after_help = "\
Examples:
  cargo xtask data build --source responses.jsonl.gz --strategy best_worst --out prepared
  cargo xtask data build --source responses.jsonl.gz --strategy ranking --set construct.size=8 --out rankings
  cargo xtask data build my.toml --seed 1 --set test_fraction=0.1 --out prepared

A file:
  seed = 0
  score = \"score\"                    # or rank, label, mean_aspects, length, { aspect = \"helpfulness\" }
  test_fraction = 0.1
  [source]
  path = \"responses.jsonl.gz\"
  [construct]
  strategy = \"curry\"
  responses = 4
  [curriculum]
  by = \"stage\"

Strategies: best_worst, best_random, all_pairs, adjacent, margin, top_bottom, curry, ranking, unpaired, groups,
aspect_pairs, directions, joint, origins, traces, segments, information.")]
pub struct DataBuildArgs {
    /// TOML file with source, hygiene, construct, controls, curriculum
    #[arg(value_name = "FILE.toml")]
    pub config: Option<PathBuf>,
    /// What to read: a file, a folder of shards or a pattern
    #[arg(long, value_name = "PATH")]
    pub source: Option<PathBuf>,
    /// How its rows are laid out [default: recognised]
    #[arg(long, value_name = "NAME")]
    pub format: Option<String>,
    /// Which responses are set against which
    #[arg(long, value_name = "NAME")]
    pub strategy: Option<String>,
    /// Seed of every random choice
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Change one option; KEY is a dotted path (construct.ties=half_label)
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Folder to write; must not exist yet
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Check the configuration and print it resolved, but read nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Arguments of `data inspect`.
#[derive(Debug, Args)]
pub struct DataInspectArgs {
    /// Prepared folder, or a file that can be read
    pub path: PathBuf,
    /// Folder of the tokenizer, with its chat template
    #[arg(long, value_name = "DIR")]
    pub tokenizer: PathBuf,
    /// First row to show, from 1
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub row: usize,
    /// How many rows
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub rows: usize,
    /// Part of a prepared folder
    #[arg(long, value_name = "NAME", default_value = "train")]
    pub part: String,
    /// How the rows of a file are laid out [default: recognised]
    #[arg(long, value_name = "NAME")]
    pub format: Option<String>,
    /// One line per token: position, mask, id
    #[arg(long)]
    pub ids: bool,
    /// Print the chat template
    #[arg(long)]
    pub template: bool,
}

/// Arguments of `data audit`.
#[derive(Debug, Args)]
pub struct DataAuditArgs {
    /// Prepared folder, or a file that can be read
    pub path: PathBuf,
    /// How the rows of a file are laid out [default: recognised]
    #[arg(long, value_name = "NAME")]
    pub format: Option<String>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}
