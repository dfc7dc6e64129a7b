//! What can be typed after `experiment`.
use clap::Args;
use std::path::PathBuf;

/// Arguments of `experiment`.
#[derive(Debug, Default, Args)]
#[command(after_help = "\
Examples:
  cargo xtask experiment quickstart
  cargo xtask experiment hh --set data.path=pairs.jsonl.gz
  cargo xtask experiment dpo --set model.path=MODEL --set data.path=pairs.jsonl --set data.limit=1000
  cargo xtask experiment my.toml --seed 1 --set stages.dpo.objective.beta=0.05 --dry-run
  cargo xtask experiment --resume runs/my-seed1
  cargo xtask experiment simpo-toy --seed 0 --seeds 20")]
pub struct ExperimentArgs {
    /// Name of a recipe or toy (see --list) or a TOML file
    #[arg(required_unless_present_any = ["list", "resume"], value_name = "NAME|FILE.toml")]
    pub experiment: Option<String>,
    /// Seed of every random choice; of a toy, the first seed [default: the recipe's; 0]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Seeds of a toy, one after the other [default: the toy's]
    #[arg(long, value_name = "K")]
    pub seeds: Option<usize>,
    /// Folder of the run; must not exist yet [default: runs/NAME-seedN]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Change one option; KEY is a dotted path, a stage is addressed by its name (stages.dpo.learning_rate=1e-5)
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Most memory that training may take (8GiB, 6000MiB): micro-batches are made small enough
    #[arg(long, value_name = "SIZE")]
    pub memory_limit: Option<String>,
    /// Check everything and print the resolved configuration, but run nothing
    #[arg(long)]
    pub dry_run: bool,
    /// List the recipes and the toys
    #[arg(long, conflicts_with_all = ["experiment", "resume"])]
    pub list: bool,
    /// Go on with an interrupted run, from its last checkpoint, to the same bits as if it had not been interrupted
    #[arg(long, value_name = "DIR", conflicts_with_all = ["experiment", "seed", "seeds", "out", "set", "memory_limit"])]
    pub resume: Option<PathBuf>,
}
