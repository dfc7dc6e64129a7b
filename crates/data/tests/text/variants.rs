//! The golden tokenizer and variants of it, for the tests of tokenisation.
#![allow(missing_docs, unreachable_pub)]

use std::path::Path;

use serde_json::{Value, json};
use tropism_data::DataError;
use tropism_data::text::Tokenizer;

pub const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/tokenizer");

pub fn golden() -> Tokenizer {
    Tokenizer::load(Path::new(GOLDEN)).unwrap()
}

/// The golden tokenizer with other entries in its configuration, and further files.
pub fn variant(change: impl Fn(&mut Value), files: &[(&str, &str)]) -> Result<Tokenizer, DataError> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(Path::new(GOLDEN).join("tokenizer.json"), dir.path().join("tokenizer.json")).unwrap();
    let config = std::fs::read(Path::new(GOLDEN).join("tokenizer_config.json")).unwrap();
    let mut config: Value = serde_json::from_slice(&config).unwrap();
    change(&mut config);
    std::fs::write(dir.path().join("tokenizer_config.json"), config.to_string()).unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    Tokenizer::load(dir.path())
}

/// The golden tokenizer with other entries in its `tokenizer.json`.
pub fn changed(change: impl Fn(&mut Value)) -> Tokenizer {
    let dir = tempfile::tempdir().unwrap();
    let mut json: Value = serde_json::from_slice(&std::fs::read(Path::new(GOLDEN).join("tokenizer.json")).unwrap()).unwrap();
    change(&mut json);
    std::fs::write(dir.path().join("tokenizer.json"), json.to_string()).unwrap();
    std::fs::copy(Path::new(GOLDEN).join("tokenizer_config.json"), dir.path().join("tokenizer_config.json")).unwrap();
    Tokenizer::load(dir.path()).unwrap()
}

pub fn with_template(template: &str) -> Tokenizer {
    variant(|config| config["chat_template"] = json!(template), &[]).unwrap()
}
