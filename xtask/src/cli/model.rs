//! What can be typed after `model`.
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

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
