//! What can be typed.
use crate::evaluate::EvaluateCommand;
use clap::{Args, Parser, Subcommand, ValueEnum};
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

/// The commands of `model`.
#[derive(Debug, Subcommand)]
pub enum ModelCommand {
    /// Write a Hugging Face folder with random weights
    Init(ModelInitArgs),
}

/// Arguments of `model init`.
#[derive(Debug, Args)]
pub struct ModelInitArgs {
    /// Sizes of the model
    #[arg(long)]
    pub shape: Shape,
    /// Folder whose tokenizer goes with it; it may have fewer entries than the shape
    #[arg(long, value_name = "DIR")]
    pub tokenizer: PathBuf,
    /// Seed of the weights
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Folder to write; must not exist yet
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// Known sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shape {
    /// SmolLM2-135M: hidden 576, 30 layers, vocabulary 49152
    #[value(name = "smollm2-135m")]
    Smollm2_135m,
    /// SmolLM2-360M: hidden 960, 32 layers, vocabulary 49152
    #[value(name = "smollm2-360m")]
    Smollm2_360m,
    /// hidden 256, 6 layers, vocabulary 8192
    Tiny,
}

/// The commands of `bench`.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Steps of DPO, the reference scored in every step
    Dpo(BenchDpoArgs),
    /// Plain training steps on sequences of random tokens, no reference
    Sft(BenchSftArgs),
    /// Sampling from the prompts of a preference file
    Generate(BenchGenerateArgs),
    /// Preparation of conversational pairs: chat template and tokens, from memory
    Prepare(BenchPrepareArgs),
    /// Steps of GRPO on the prompts of a preference file: sampling, a reward by function, a reference, an update
    Grpo(BenchGrpoArgs),
    /// Each operation of a model's shape, beside the machine's peak
    Ops(BenchOpsArgs),
    /// Bootstraps of judged pairs
    Bootstrap(BenchBootstrapArgs),
}

/// Arguments of `bench bootstrap`.
#[derive(Debug, Args)]
pub struct BenchBootstrapArgs {
    /// Judged pairs
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub pairs: usize,
    /// Resamples
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub resamples: usize,
    /// Seed of pairs and resamples
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Threads; 0 for one per core
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub threads: usize,
    /// Runs of each; the best one counts
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub repeat: usize,
}

/// Arguments of `bench prepare`.
#[derive(Debug, Args)]
pub struct BenchPrepareArgs {
    /// Preference file with messages or HH-RLHF dialogues
    #[arg(long, value_name = "FILE")]
    pub pairs: PathBuf,
    /// Folder of the tokenizer, with its chat template
    #[arg(long, value_name = "DIR")]
    pub tokenizer: PathBuf,
    /// Rows to prepare; the file's are taken again where it has fewer
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub rows: usize,
    /// Threads; 0 for one per core
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub threads: usize,
    /// Prepare once more by the tokenizers library alone, compare the ids and print its rows per second
    #[arg(long, conflicts_with = "generate")]
    pub library: bool,
    /// Write a JSONL file of so many rows instead, then read and prepare it in bounded memory
    #[arg(long, value_name = "N", conflicts_with = "rows")]
    pub generate: Option<usize>,
    /// File to write, which is kept and must not exist yet [default: a temporary one, removed afterwards]
    #[arg(long, value_name = "FILE", requires = "generate")]
    pub file: Option<PathBuf>,
}

/// Arguments of `bench ops`.
#[derive(Debug, Args)]
pub struct BenchOpsArgs {
    /// Sizes of the model whose operations are measured
    #[arg(long, default_value = "smollm2-135m")]
    pub shape: Shape,
    /// Tokens
    #[arg(long, value_name = "N", default_value_t = 1024)]
    pub tokens: usize,
    /// How products are computed
    #[arg(long, default_value = "f32")]
    pub dtype: Dtype,
    /// Threads; 0 for one per core
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub threads: usize,
    /// Runs of each operation; the best one counts
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub repeat: usize,
}

/// Model, data and machine of a bench.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Model folder, with its tokenizer
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// Preference file
    #[arg(long, value_name = "FILE")]
    pub pairs: PathBuf,
    /// How products are computed
    #[arg(long, default_value = "f32")]
    pub dtype: Dtype,
    /// Threads; 0 for one per core
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub threads: usize,
}

/// Types of the numbers in products.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Dtype {
    /// 32-bit floats
    F32,
    /// operands rounded to bf16, sums in f32
    Bf16,
    /// weights in 8 bits; `generate` only
    Int8,
}

/// Arguments of `bench dpo`.
#[derive(Debug, Args)]
pub struct BenchDpoArgs {
    /// model, data, machine
    #[command(flatten)]
    pub common: BenchArgs,
    /// Pairs per step
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub batch: usize,
    /// Steps to measure, after one to warm up
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub steps: usize,
    /// Longest sequence, prompt and answer together
    #[arg(long, value_name = "N", default_value_t = 512)]
    pub max_length: usize,
    /// Most tokens computed at a time [default: 768 in bf16, 1024 in f32]
    #[arg(long, value_name = "N")]
    pub micro_batch_tokens: Option<usize>,
    /// Keep only the input of each layer and compute the rest again in the backward pass
    #[arg(long)]
    pub checkpointing: bool,
}

/// Arguments of `bench sft`.
#[derive(Debug, Args)]
pub struct BenchSftArgs {
    /// Model folder
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// Tokens of a sequence
    #[arg(long, value_name = "N", default_value_t = 1024)]
    pub tokens: usize,
    /// Sequences per step
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub sequences: usize,
    /// Steps to measure, after one to warm up
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub steps: usize,
    /// How products are computed
    #[arg(long, default_value = "f32")]
    pub dtype: Dtype,
    /// Keep only the input of each layer and compute the rest again in the backward pass
    #[arg(long)]
    pub checkpointing: bool,
    /// Threads; 0 for one per core
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub threads: usize,
}

/// Arguments of `bench generate`.
#[derive(Debug, Args)]
pub struct BenchGenerateArgs {
    /// model, data, machine
    #[command(flatten)]
    pub common: BenchArgs,
    /// Prompts
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub batch: usize,
    /// Answers to each prompt, which share it
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub answers: usize,
    /// New tokens per answer
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub new: usize,
    /// Answers that are written at the same time
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub slots: usize,
    /// Longest prompt
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub max_prompt: usize,
}

/// Arguments of `bench grpo`.
#[derive(Debug, Args)]
pub struct BenchGrpoArgs {
    /// model, data, machine
    #[command(flatten)]
    pub common: BenchArgs,
    /// Prompts per step
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub prompts: usize,
    /// Completions of each prompt
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub group: usize,
    /// Longest completion in tokens
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub new: usize,
    /// Steps to measure, after one to warm up
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub steps: usize,
    /// Most tokens computed at a time in updates; groups stay whole
    #[arg(long, value_name = "N", default_value_t = 1024)]
    pub micro_batch_tokens: usize,
}

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
