//! Running the command line in a folder of its own.
#![allow(clippy::unwrap_used, dead_code)]
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Figures and small models that come with the repository.
pub(crate) fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(name)
}

pub(crate) fn command(args: &[&str]) -> Command {
    let mut c = Command::new(env!("CARGO_BIN_EXE_tropism-xtask"));
    c.args(args).env_remove("RUST_LOG").env("RUST_BACKTRACE", "0");
    c
}

pub(crate) fn run(args: &[&str]) -> Output {
    command(args).output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A world small enough for a test of seconds.
pub(crate) const TINY: &str = r#"
name = "tiny"
[data]
test_fraction = 0.2
max_length = 96
[world]
samples = 160
pairs = 120
test_pairs = 30
[model.new]
vocab_size = 300
hidden_size = 16
intermediate_size = 24
num_hidden_layers = 1
num_attention_heads = 2
num_key_value_heads = 1
max_position_embeddings = 160
[evaluation]
prompts = 6
sampling = { max_new_tokens = 12 }
[[stages]]
name = "sft"
objective = { method = "sft" }
learning_rate = 3e-3
batch_size = 4
checkpoint_every = 3
[[stages]]
name = "dpo"
objective = { method = "dpo" }
learning_rate = 1e-3
batch_size = 4
checkpoint_every = 3
"#;
