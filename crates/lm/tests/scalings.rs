//! Scaled rotary positions, and Mistral's window, against logits of transformers: one small model, several configurations.
#![allow(clippy::unwrap_used)]
mod common;
use common::open;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use tropism_lm::WeightDtype;
use tropism_ops::Tree;

fn figures() -> (PathBuf, Value) {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/rope"));
    let text = fs::read_to_string(folder.join("cases.json")).unwrap();
    (folder, serde_json::from_str(&text).unwrap())
}

fn numbers(v: &Value) -> Vec<f64> {
    v.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn indices(v: &Value) -> Vec<usize> {
    numbers(v).into_iter().map(|x| x as usize).collect()
}

/// Largest difference of the logits of a case, from the model in `folder`.
fn off(folder: &Path, all: &Value, case: &Value) -> f64 {
    let (ids, at) = (indices(&all["ids"]), indices(&all["at"]));
    let logits = open::<f64>(folder).logits(&ids, &Tree::sequences(&[ids.len()]).unwrap(), &at).unwrap().as_vec();
    let expected: Vec<f64> = case["logits"].as_array().unwrap().iter().flat_map(numbers).collect();
    assert_eq!(logits.len(), expected.len());
    logits.iter().zip(&expected).map(|(f, e)| (f - e).abs()).fold(0.0, f64::max)
}

#[test]
fn logits_of_every_scaling_before_and_after_saving() {
    let (golden, all) = figures();
    for case in all["cases"].as_array().unwrap() {
        let (name, dir) = (case["name"].as_str().unwrap(), tempfile::tempdir().unwrap());
        fs::write(dir.path().join("config.json"), case["config"].to_string()).unwrap();
        fs::copy(golden.join("model.safetensors"), dir.path().join("model.safetensors")).unwrap();
        // rotary angles are f32 there
        let read = off(dir.path(), &all, case);
        assert!(read < 2e-5, "{name}: off by {read}");
        let saved = tempfile::tempdir().unwrap();
        open::<f32>(dir.path()).save(saved.path(), WeightDtype::F32).unwrap();
        let again = off(saved.path(), &all, case);
        assert!(again < 2e-5, "{name}: off by {again} after saving");
        println!("{name}: {read:.1e}, {again:.1e} after saving");
    }
}

#[test]
fn the_figures_tell_the_scalings_apart() {
    let (_, all) = figures();
    let cases = all["cases"].as_array().unwrap();
    let last = |c: &Value| numbers(c["logits"].as_array().unwrap().last().unwrap());
    let apart = |a: &Value, b: &Value| last(a).iter().zip(last(b)).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
    for (i, case) in cases.iter().enumerate().skip(1) {
        // within the trained positions `dynamic` is no scaling at all
        if case["name"] != "dynamic" {
            assert!(cases[..i].iter().all(|c| apart(c, case) > 0.01), "{}", case["name"]);
        }
    }
}
