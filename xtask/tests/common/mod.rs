//! Running the command line in a folder of its own.
#![allow(clippy::unwrap_used, dead_code)]
use serde_json::Value;
use std::fs;
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

/// Runs the experiment `recipe` in `dir`, into its folder `name`, with `--set` for each of `sets`.
pub(crate) fn experiment(dir: &Path, recipe: &str, name: &str, sets: &[&str]) -> Output {
    let (file, out) = (dir.join("experiment.toml"), dir.join(name));
    fs::write(&file, recipe).unwrap();
    let mut c = command(&["experiment", file.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    sets.iter().for_each(|s| {
        c.args(["--set", s]);
    });
    c.output().unwrap()
}

/// The lines of a run's metrics file, without times.
pub(crate) fn lines(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let untimed = |l: &str| {
        let mut line: Value = serde_json::from_str(l).unwrap();
        line.as_object_mut().unwrap().retain(|k, _| !k.starts_with("time/"));
        line
    };
    text.lines().map(untimed).collect()
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
