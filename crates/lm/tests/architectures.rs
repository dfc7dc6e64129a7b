//! What the architectures have apart from Llama: names, storage, windows, biases, and the keys of their configurations.
#![allow(clippy::unwrap_used)]
use dfdx::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tropism_lm::*;
use tropism_ops::{Params, Scalar, Tree, Visit, data, grad_mut, tape_into};

const ALL: [&str; 7] = ["llama_tied", "llama_untied", "qwen2", "qwen3", "gemma", "gemma2", "gpt2"];

fn golden(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/models")).join(name)
}

fn open<E: Scalar>(folder: &Path) -> Decoder<Loaded, E>
where
    Cpu: Device<E>,
{
    load(folder, |c| Ok(Loaded::new(c))).unwrap()
}

fn config(name: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(golden(name).join("config.json")).unwrap()).unwrap()
}

fn parse(config: &Value) -> Result<Config, String> {
    Config::parse(&config.to_string(), Path::new("config.json")).map_err(|e| e.to_string())
}

/// A random model of a changed configuration.
fn made(name: &str, changes: &[(&str, Value)]) -> Decoder<Loaded, f64> {
    let mut config = config(name);
    changes.iter().for_each(|(k, v)| config[*k] = v.clone());
    Decoder::random(Loaded::new(parse(&config).unwrap()), 3).unwrap()
}

fn logits<E: Scalar>(model: &Decoder<Loaded, E>, ids: &[usize], at: usize) -> Vec<E>
where
    Cpu: Device<E>,
{
    model.logits(ids, &Tree::sequences(&[ids.len()]).unwrap(), &[at]).unwrap().as_vec()
}

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
fn layers_slide_by_rule_or_by_list() {
    let windows = |name: &str, changes: &[(&str, Value)]| -> Vec<Option<usize>> {
        made(name, changes).layers.iter().map(|l| l.attention.window).collect()
    };
    let on = [("use_sliding_window", json!(true)), ("sliding_window", json!(5)), ("layer_types", Value::Null)];
    for name in ["qwen2", "qwen3"] {
        assert_eq!(windows(name, &[]), [None, None]);
        assert_eq!(windows(name, &on), [None, None], "max_window_layers is 28");
        let upper = [on.as_slice(), &[("max_window_layers", json!(1))]].concat();
        assert_eq!(windows(name, &upper), [None, Some(5)]);
        let listed = [on.as_slice(), &[("layer_types", json!(["sliding_attention", "full_attention"]))]].concat();
        assert_eq!(windows(name, &listed), [Some(5), None]);
    }
    let old = [("layer_types", Value::Null), ("num_hidden_layers", json!(4))];
    assert_eq!(windows("gemma2", &old), [Some(8), None, Some(8), None]);
    assert_eq!(windows("gemma2", &[("layer_types", json!(["full_attention", "sliding_attention"]))]), [None, Some(8)]);
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
    tropism_ops::data_mut(moved.layers[0].output.bias.as_mut().unwrap())[3] = 0.5;
    assert_ne!(logits(&moved, &[4, 5, 6], 2), plain);
}

#[test]
fn scales_of_gpt2() {
    let scales =
        |changes: &[(&str, Value)]| made("gpt2", changes).layers.iter().map(|l| l.attention.scale).collect::<Vec<_>>();
    let plain = 12f64.sqrt().recip();
    assert_eq!(scales(&[]), [plain, plain]);
    assert_eq!(scales(&[("scale_attn_weights", false.into())]), [1.0, 1.0]);
    assert_eq!(scales(&[("scale_attn_by_inverse_layer_idx", true.into())]), [plain, plain / 2.0]);
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
    let g = grad_mut(&mut grads, all.bias.as_ref().unwrap()).unwrap();
    let largest = |part: &[f64]| part.iter().fold(0.0f64, |a, v| a.max(v.abs()));
    assert!(largest(&g[48..96]) < 1e-12 && largest(&g[..48]) > 1e-3 && largest(&g[96..]) > 1e-3);
}

#[test]
fn settings_that_change_the_computation_are_refused_by_name() {
    let refused = |name: &str, key: &str, value: Value| {
        let mut config = config(name);
        config[key] = value;
        let e = parse(&config).unwrap_err();
        assert!(e.contains("config.json") && e.contains(&format!("`{key}")), "{name}, {key}: {e}");
    };
    for name in ALL {
        for (key, value) in [
            ("quantization_config", json!({"bits": 4})),
            ("is_encoder_decoder", true.into()),
            ("embedding_multiplier", 12.0.into()),
            ("num_local_experts", 8.into()),
            ("position_embedding_type", "alibi".into()),
            ("clip_qkv", 8.0.into()),
            ("tie_word_embeddings", "yes".into()),
            ("vocab_size", 0.into()),
            ("model_type", "mamba".into()),
        ] {
            refused(name, key, value);
        }
        for key in
            if name == "gpt2" { ["n_embd", "n_layer", "n_head"] } else { ["hidden_size", "intermediate_size", "head_dim"] }
        {
            refused(name, key, 0.into());
        }
    }
    refused("llama_tied", "hidden_act", "relu".into());
    refused("llama_tied", "sliding_window", 8.into());
    refused("llama_tied", "partial_rotary_factor", 0.5.into());
    refused("llama_tied", "layer_types", json!(["sliding_attention", "full_attention"]));
    refused("qwen2", "layer_types", json!(["full_attention", "chunked_attention"]));
    refused("qwen2", "layer_types", json!(["full_attention"]));
    refused("qwen2", "layer_types", json!(["full_attention", "sliding_attention"]));
    refused("qwen2", "use_mrope", true.into());
    refused("qwen3", "attention_bias", 3.into());
    refused("qwen3", "attn_output_gate", true.into());
    refused("gemma", "use_bidirectional_attention", true.into());
    refused("gemma", "final_logit_softcapping", 30.0.into());
    refused("gemma2", "sliding_window", 0.into());
    refused("gemma2", "query_pre_attn_scalar", 0.into());
    refused("gemma2", "attn_logit_softcapping", (-1.0).into());
    refused("gemma2", "hidden_activation", "relu".into());
    refused("gpt2", "add_cross_attention", true.into());
    refused("gpt2", "activation_function", "tanh".into());
    refused("gpt2", "n_head", 5.into());
    refused("gpt2", "rope_theta", 1e4.into());
    let mut odd = config("llama_tied");
    odd["model_type"] = "mistral".into();
    odd["sliding_window"] = 0.into();
    assert!(parse(&odd).unwrap_err().contains("`sliding_window` is 0"));
    odd.as_object_mut().unwrap().remove("model_type");
    assert!(parse(&odd).unwrap_err().contains("`model_type` is missing; supported are llama, mistral"));
}

#[test]
fn settings_that_do_not_change_it_are_let_through() {
    for name in ALL {
        let mut config = config(name);
        for (key, value) in [
            ("_name_or_path", json!("somewhere/attention-model")),
            ("_attn_implementation", json!("eager")),
            ("attn_implementation", json!("flash_attention_2")),
            ("use_flash_attn", json!(true)),
            ("attention_dropout", json!(0.1)),
            ("auto_map", json!({"AutoModelForCausalLM": "modeling.Model"})),
            ("unsloth_fixed", json!(true)),
            ("rope_interleaved", json!(false)),
            ("quantization_config", Value::Null),
            ("partial_rotary_factor", json!(1.0)),
            ("pruned_heads", json!({})),
            ("task_specific_params", json!({"text-generation": {"max_length": 50}})),
            ("reorder_and_upcast_attn", json!(true)),
            ("chunk_size_feed_forward", json!(0)),
            ("anything_new", json!("value")),
        ] {
            config[key] = value;
        }
        parse(&config).unwrap();
    }
}

#[test]
fn gemmas_activation_is_the_tanh_form_unless_said_otherwise() {
    let found = |name: &str, act: Value, activation: Value| {
        made(name, &[("hidden_act", act), ("hidden_activation", activation)]).layers[0].ff.activation
    };
    use tropism_ops::Activation::*;
    assert_eq!(found("gemma", "gelu".into(), Value::Null), GeluTanh);
    assert_eq!(found("gemma", Value::Null, Value::Null), GeluTanh);
    assert_eq!(found("gemma", "gelu_pytorch_tanh".into(), "gelu".into()), GeluErf);
    assert_eq!(found("gemma2", "gelu".into(), Value::Null), GeluTanh);
    assert_eq!(found("gemma2", Value::Null, "gelu".into()), GeluErf);
}

#[test]
fn sizes_that_the_file_leaves_out() {
    let without = |name: &str, changes: &[(&str, Value)]| {
        let mut config = config(name);
        for (key, value) in changes {
            config[*key] = value.clone();
        }
        let keys = ["num_key_value_heads", "head_dim", "max_position_embeddings", "n_positions"];
        keys.iter()
            .filter(|k| !changes.iter().any(|c| c.0 == **k))
            .for_each(|k| drop(config.as_object_mut().unwrap().remove(*k)));
        let s = parse(&config).unwrap().sizes;
        (s.kv_heads, s.head_dim, s.positions)
    };
    let many = [("num_attention_heads", json!(32)), ("hidden_size", json!(128))];
    assert_eq!(without("llama_tied", &many), (32, 4, 2048));
    assert_eq!(without("qwen2", &many), (32, 4, 32768));
    assert_eq!(without("qwen3", &many), (32, 128, 32768));
    assert_eq!(without("gemma", &many), (16, 256, 8192));
    assert_eq!(without("gemma2", &many), (4, 256, 8192));
    assert_eq!(without("gpt2", &[]), (4, 12, 1024));
    // null is not the same as left out
    let null = [many.as_slice(), &[("num_key_value_heads", Value::Null), ("head_dim", Value::Null)]].concat();
    assert_eq!(without("gemma", &null), (32, 4, 8192));
}
