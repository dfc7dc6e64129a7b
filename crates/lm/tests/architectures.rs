//! What the architectures have apart from Llama: names, storage, windows, biases.
#![allow(clippy::unwrap_used)]
mod common;
use common::*;
use dfdx::prelude::*;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use tropism_lm::*;
use tropism_ops::{Params, Scalar, Tree, Visit, data, grad_mut, tape_into};

/// Shapes and bytes of a safetensors file, by name.
fn tensors(path: &Path) -> BTreeMap<String, (Vec<usize>, Vec<u8>)> {
    let bytes = fs::read(path).unwrap();
    let all = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    all.tensors().into_iter().map(|(n, t)| (n, (t.shape().to_vec(), t.data().to_vec()))).collect()
}

struct Shapes(BTreeMap<String, (usize, f64, f64)>);
impl<E: Scalar> Visit<E> for Shapes {
    type Error = std::convert::Infallible;
    fn tensor<S: Shape>(&mut self, name: &str, t: &Tensor<S, E, Cpu>) -> Result<(), Self::Error> {
        let (low, high) = data(t).iter().fold((f64::MAX, f64::MIN), |(a, b), v| (a.min(v.f()), b.max(v.f())));
        self.0.insert(name.to_owned(), (S::NUM_DIMS, low, high));
        Ok(())
    }
}

fn shapes<E: Scalar>(model: &Decoder<Loaded, E>) -> BTreeMap<String, (usize, f64, f64)> {
    let mut s = Shapes(BTreeMap::new());
    let Ok(()) = model.visit(&mut s);
    s.0
}

#[test]
fn every_architecture_saves_what_it_loaded() {
    for name in ALL {
        let dir = tempfile::tempdir().unwrap();
        let model = open::<f32>(&golden(name));
        assert_eq!(model.config().architecture.name(), config(name)["model_type"]);
        model.save(dir.path(), WeightDtype::F32).unwrap();
        let (was, is) = (tensors(&golden(name).join("model.safetensors")), tensors(&dir.path().join("model.safetensors")));
        assert_eq!(was, is, "{name}: names, shapes and bytes");
        let text = fs::read_to_string(dir.path().join("config.json")).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), config(name), "{name}");
        assert_eq!(logits(&open::<f32>(dir.path()), &[5, 6, 7], 2), logits(&model, &[5, 6, 7], 2));
        let count: usize = was.values().map(|(s, _)| s.iter().product::<usize>()).sum();
        assert_eq!(model.parameters(), count, "{name}");
    }
}

#[test]
fn names_without_prefix_and_saved_masks() {
    for name in ["gpt2", "gemma"] {
        let dir = tempfile::tempdir().unwrap();
        fs::copy(golden(name).join("config.json"), dir.path().join("config.json")).unwrap();
        let bytes = fs::read(golden(name).join("model.safetensors")).unwrap();
        let all = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let bare = |n: String| n.split_once('.').unwrap().1.to_owned();
        let mut list: Vec<_> = all.tensors().into_iter().map(|(n, t)| (bare(n), t)).collect();
        if name == "gpt2" {
            let mask = all.tensor("transformer.h.0.ln_1.bias").unwrap();
            list.push(("h.0.attn.bias".into(), mask.clone()));
            list.push(("h.1.attn.masked_bias".into(), mask));
        }
        safetensors::serialize_to_file(list, None, &dir.path().join("model.safetensors")).unwrap();
        let model = open::<f32>(dir.path());
        assert_eq!(logits(&model, &[5, 6, 7], 2), logits(&open::<f32>(&golden(name)), &[5, 6, 7], 2));
        model.save(dir.path(), WeightDtype::F32).unwrap();
        let saved = tensors(&dir.path().join("model.safetensors"));
        assert!(saved.keys().all(|n| !n.starts_with("transformer.") && !n.starts_with("model.")), "{:?}", saved.keys());
        assert!(!saved.contains_key("h.0.attn.bias"));
        let mut policy = model.clone();
        read_tensors(&mut policy, &golden(name).join("policy.safetensors")).unwrap();
        assert_ne!(logits(&policy, &[5, 6, 7], 2), logits(&model, &[5, 6, 7], 2));
    }
}

#[test]
fn a_mask_belongs_to_no_other_architecture() {
    let mut model = open::<f32>(&golden("llama_tied"));
    let e = read_tensors(&mut model, &golden("gpt2").join("model.safetensors")).unwrap_err().to_string();
    assert!(e.contains("transformer.") && e.contains("does not belong"), "{e}");
}

#[test]
fn fresh_weights_are_neutral_where_transformers_starts_so() {
    let gemma = shapes(&made("gemma2", &[]));
    assert!(gemma.iter().filter(|(_, s)| s.0 == 1).all(|(_, s)| (s.1, s.2) == (0.0, 0.0)));
    let gpt2 = shapes(&made("gpt2", &[]));
    for (name, s) in gpt2.iter().filter(|(_, s)| s.0 == 1) {
        let expected = if name.ends_with(".bias") { 0.0 } else { 1.0 };
        assert_eq!((s.1, s.2), (expected, expected), "{name}");
    }
    // deviation 0.2, on the residual stream 0.2 / sqrt(4)
    let wide = |name: &str| gpt2[&format!("transformer.h.0.{name}.weight")].2;
    assert!(wide("attn.c_attn") > 0.6 && wide("mlp.c_fc") > 0.6);
    assert!((0.25..0.5).contains(&wide("attn.c_proj")) && (0.25..0.5).contains(&wide("mlp.c_proj")));
}

/// Mistral on Llama's weights.
fn mistral(window: Value, layers: usize) -> Decoder<Loaded, f64> {
    made(
        "llama_untied",
        &[("model_type", "mistral".into()), ("sliding_window", window), ("num_hidden_layers", layers.into())],
    )
}

#[test]
fn mistral_without_a_window_is_llama() {
    let ids: Vec<usize> = (0..40).map(|i| (i * 37 + 5) % 384).collect();
    let llama = logits(&made("llama_untied", &[]), &ids, 39);
    assert_eq!(logits(&mistral(Value::Null, 2), &ids, 39), llama);
    assert_eq!(logits(&mistral(40.into(), 2), &ids, 39), llama);
    assert_ne!(logits(&mistral(39.into(), 2), &ids, 39), llama);
}

#[test]
fn a_window_hides_what_stands_before_it() {
    let ids: Vec<usize> = (0..40).map(|i| (i * 37 + 5) % 384).collect();
    // one layer: the last token sees 8 tokens, and rotary positions count by distance only
    let one = mistral(8.into(), 1);
    for (a, b) in logits(&one, &ids, 39).iter().zip(logits(&one, &ids[32..], 7)) {
        assert!((a - b).abs() < 1e-10);
    }
    // two layers: 15 tokens
    let two = mistral(8.into(), 2);
    let (full, mut changed) = (logits(&two, &ids, 39), ids.clone());
    changed[24] = 1;
    assert_eq!(logits(&two, &changed, 39), full);
    changed[25] = 1;
    assert_ne!(logits(&two, &changed, 39), full);
}

#[test]
fn sampling_follows_windows_and_caps() {
    for model in [mistral(4.into(), 2), open(&golden("gemma2")), open(&golden("gpt2"))] {
        let mut ids = vec![7usize, 9, 11];
        let greedy = Sampling { temperature: 0.0, max_new_tokens: 20, ..Sampling::default() };
        let found = model.generate(&[vec![7, 9, 11]], &greedy, &[], 0).unwrap().remove(0).tokens;
        for token in found {
            let l = logits(&model, &ids, ids.len() - 1);
            let best = (0..l.len()).fold(0, |a, b| if l[b] > l[a] { b } else { a });
            assert_eq!(token as usize, best, "{} after {} tokens", model.config().architecture.name(), ids.len());
            ids.push(best);
        }
    }
}

#[test]
fn biases_of_llama() {
    let model = made("llama_untied", &[("attention_bias", true.into()), ("mlp_bias", true.into())]);
    let names = shapes(&model);
    for part in ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"] {
        assert!(names.contains_key(&format!("model.layers.1.{part}.bias")), "{part}");
    }
    for part in ["mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"] {
        assert!(names.contains_key(&format!("model.layers.1.{part}.bias")), "{part}");
    }
    // fresh biases are 0
    let plain = logits(&made("llama_untied", &[]), &[4, 5, 6], 2);
    assert_eq!(logits(&model, &[4, 5, 6], 2), plain);
    let mut moved = model.clone();
    tropism_ops::data_mut(&mut moved.layers[0].output.bias.as_mut().unwrap().values)[3] = 0.5;
    assert_ne!(logits(&moved, &[4, 5, 6], 2), plain);
}

/// Without rotation the softmax does not see a bias of the keys: the figures of AdamW's steps on it are rounding.
#[test]
fn a_bias_of_unrotated_keys_has_no_gradient() {
    let model = open::<f64>(&golden("gpt2"));
    let ids = [5, 6, 7, 300, 12, 9];
    let tree = Tree::sequences(&[6]).unwrap();
    let batch = TokenBatch { ids: &ids, tree: &tree, sources: &[2, 3, 4], targets: &[300, 12, 9] };
    let tape = tape_into(&Cpu::default(), Gradients::leaky());
    let mut grads = model.token_logps(batch, tape).unwrap().sum().backward();
    let Qkv::Fused(all) = &model.layers[0].qkv else { panic!("GPT-2 has one projection") };
    let g = grad_mut(&mut grads, &all.bias.as_ref().unwrap().values).unwrap();
    let largest = |part: &[f64]| part.iter().fold(0.0f64, |a, v| a.max(v.abs()));
    assert!(largest(&g[48..96]) < 1e-12 && largest(&g[..48]) > 1e-3 && largest(&g[96..]) > 1e-3);
}
