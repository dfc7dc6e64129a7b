//! Models of all architectures, as stored and as changed; random ones with clear preferences.
#![allow(dead_code, clippy::unwrap_used)]
pub(crate) mod gradients;

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

/// A model whose logits differ by several nats; sizes that fit no vector register.
pub(crate) fn random<E: Scalar>(vocab: usize, seed: u64) -> Decoder<Loaded, E>
where
    Cpu: Device<E>,
{
    let sizes = Sizes { vocab, hidden: 36, ff: 50, layers: 2, heads: 6, kv_heads: 2, head_dim: 10, positions: 160 };
    let mut config = Config::new(sizes, false).unwrap();
    config.initializer_range = 0.35;
    Decoder::random(Loaded::new(config), seed).unwrap()
}

/// `log_softmax` of the model's own full pass after each token of a sequence.
pub(crate) fn log_probabilities<E: Scalar>(model: &Decoder<Loaded, E>, tokens: &[u32]) -> Vec<Vec<f64>>
where
    Cpu: Device<E>,
{
    let ids: Vec<usize> = tokens.iter().map(|&t| t as usize).collect();
    let at: Vec<usize> = (0..ids.len()).collect();
    let logits = model.logits(&ids, &Tree::sequences(&[ids.len()]).unwrap(), &at).unwrap();
    let width = logits.shape().1.size();
    let rows = logits.as_vec().into_iter().map(Scalar::f).collect::<Vec<f64>>();
    rows.chunks(width).map(log_softmax).collect()
}

pub(crate) fn log_softmax(row: &[f64]) -> Vec<f64> {
    let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let lse = top + row.iter().map(|x| (x - top).exp()).sum::<f64>().ln();
    row.iter().map(|x| x - lse).collect()
}

/// Prompts of these lengths, all different.
pub(crate) fn prompts(lengths: &[usize], vocab: u32) -> Vec<Vec<u32>> {
    let token = |i: usize, t: usize| (i as u32 * 31 + t as u32 * 7 + (t * t) as u32) % vocab;
    lengths.iter().enumerate().map(|(i, &n)| (0..n).map(|t| token(i, t)).collect()).collect()
}
