//! Small checkpoints of all architectures against figures of transformers, in f32 and f64, with run-time and compile-time sizes.
#![allow(clippy::unwrap_used)]
use dfdx::prelude::*;
use serde_json::Value;
use std::path::PathBuf;
use tropism_lm::*;
use tropism_ops::{Scalar, Tree};

fn folder(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/models")).join(name)
}

fn forward(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(folder(name).join("forward.json")).unwrap()).unwrap()
}

fn numbers(v: &Value) -> Vec<f64> {
    match v {
        Value::Array(a) => a.iter().flat_map(numbers).collect(),
        v => vec![v.as_f64().unwrap()],
    }
}

fn ids(v: &Value) -> Vec<usize> {
    numbers(v).into_iter().map(|x| x as usize).collect()
}

fn close<E: Scalar>(found: &[E], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f.f() - e).abs() < tolerance, "element {i}: {} against {e}", f.f());
    }
}

/// Logits, log-probabilities and greedy decoding. The reference ran in f32, so f64 gets the same tolerance.
fn check<M: Dims, E: Scalar>(name: &str, model: &Decoder<M, E>)
where
    Cpu: Device<E>,
{
    let f = forward(name);
    let columns = 24;
    let all = ids(&f["input_ids"]);
    let lengths: Vec<usize> =
        all.chunks(columns).zip(ids(&f["attention_mask"]).chunks(columns)).map(|(_, m)| m.iter().sum()).collect();
    let tree = Tree::sequences(&lengths).unwrap();
    let starts = [0, lengths[0]];
    let tokens: Vec<usize> = (0..2).flat_map(|r| all[r * columns..r * columns + lengths[r]].to_vec()).collect();

    let at: Vec<usize> = ids(&f["logit_positions"]).chunks(2).map(|p| starts[p[0]] + p[1]).collect();
    close(&model.logits(&tokens, &tree, &at).unwrap().as_vec(), &numbers(&f["logits"]), 1e-4);

    let sources: Vec<usize> = (0..2).flat_map(|r| starts[r]..starts[r] + lengths[r] - 1).collect();
    let targets: Vec<usize> = sources.iter().map(|s| tokens[s + 1]).collect();
    let batch = TokenBatch { ids: &tokens, tree: &tree, sources: &sources, targets: &targets };
    let expected: Vec<f64> =
        numbers(&f["label_logps"]).chunks(columns - 1).zip(&lengths).flat_map(|(row, n)| row[..n - 1].to_vec()).collect();
    close(&model.token_logps(batch, NoneTape).unwrap().as_vec(), &expected, 1e-4);

    let prompt: Vec<u32> = ids(&f["greedy"]["prompt_ids"]).into_iter().map(|i| i as u32).collect();
    let greedy = Sampling { temperature: 0.0, max_new_tokens: 12, ..Sampling::default() };
    let out = model.generate(&[prompt[..3].to_vec(), prompt], &greedy, &[], 0).unwrap();
    let expected: Vec<u32> = ids(&f["greedy"]["new_ids"]).into_iter().map(|i| i as u32).collect();
    assert_eq!(out[1].tokens, expected);
    assert!(!out[1].finished());
}

#[test]
fn loaded_models_agree_in_both_precisions() {
    for name in ["llama_tied", "llama_untied", "qwen2", "qwen3", "gemma", "gemma2", "gpt2"] {
        check(name, &load::<_, f32>(&folder(name), |c| Ok(Loaded::new(c))).unwrap());
        check(name, &load::<_, f64>(&folder(name), |c| Ok(Loaded::new(c))).unwrap());
    }
}

type Golden = Preset<384, 64, 128, 64, 32>;

#[test]
fn a_preset_gives_the_same_bits() {
    check("llama_tied", &load::<Golden, f32>(&folder("llama_tied"), Preset::new).unwrap());
    check("gpt2", &load::<Preset<384, 48, 192, 48, 48>, f32>(&folder("gpt2"), Preset::new).unwrap());
    let fixed = load::<Golden, f32>(&folder("llama_untied"), Preset::new).unwrap();
    let sized = load::<_, f32>(&folder("llama_untied"), |c| Ok(Loaded::new(c))).unwrap();
    let tree = Tree::sequences(&[5]).unwrap();
    let ids = [5, 9, 300, 383, 0];
    assert_eq!(fixed.logits(&ids, &tree, &[4]).unwrap().as_vec(), sized.logits(&ids, &tree, &[4]).unwrap().as_vec());
    let e = load::<SmolLm135, f32>(&folder("llama_tied"), Preset::new).unwrap_err().to_string();
    assert!(e.contains("not the preset's"), "{e}");
}
