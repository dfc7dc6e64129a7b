//! What can be typed after `golden`.
use clap::Args;
use std::path::PathBuf;

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
