//! Models of all architectures, as stored and as changed.
#![allow(dead_code, clippy::unwrap_used)]
use dfdx::prelude::*;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use tropism_lm::*;
use tropism_ops::{Scalar, Tree};

pub(crate) const ALL: [&str; 7] = ["llama_tied", "llama_untied", "qwen2", "qwen3", "gemma", "gemma2", "gpt2"];

pub(crate) fn golden(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/models")).join(name)
}

pub(crate) fn open<E: Scalar>(folder: &Path) -> Decoder<Loaded, E>
where
    Cpu: Device<E>,
{
    load(folder, |c| Ok(Loaded::new(c))).unwrap()
}

pub(crate) fn config(name: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(golden(name).join("config.json")).unwrap()).unwrap()
}

pub(crate) fn parse(config: &Value) -> Result<Config, String> {
    Config::parse(&config.to_string(), Path::new("config.json")).map_err(|e| e.to_string())
}

/// A random model of a changed configuration.
pub(crate) fn made(name: &str, changes: &[(&str, Value)]) -> Decoder<Loaded, f64> {
    let mut config = config(name);
    changes.iter().for_each(|(k, v)| config[*k] = v.clone());
    Decoder::random(Loaded::new(parse(&config).unwrap()), 3).unwrap()
}

pub(crate) fn logits<E: Scalar>(model: &Decoder<Loaded, E>, ids: &[usize], at: usize) -> Vec<E>
where
    Cpu: Device<E>,
{
    model.logits(ids, &Tree::sequences(&[ids.len()]).unwrap(), &[at]).unwrap().as_vec()
}
