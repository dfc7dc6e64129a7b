//! What can be typed after `bench`.
use super::model::Shape;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

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
