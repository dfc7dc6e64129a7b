//! Adapter folders against PEFT.
//!
//! `tests/golden/lora` was made with PEFT 0.21.2 on the models of `tests/golden/models`: `get_peft_model` after
//! `torch.manual_seed(3)`, every `lora_B` drawn from N(0, 0.3), `save_pretrained`, and the logits of one sequence in f32.
#![allow(clippy::unwrap_used)]
mod common;
use common::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tropism_lm::*;
use tropism_ops::Tree;

fn folder(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/lora")).join(name)
}

fn read_json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn indices(v: &Value) -> Vec<usize> {
    v.as_array().unwrap().iter().map(|i| i.as_u64().unwrap() as usize).collect()
}

/// Shapes and numbers of a file, by name.
fn tensors(folder: &Path) -> BTreeMap<String, (Vec<usize>, Vec<u8>)> {
    let bytes = fs::read(folder.join("adapter_model.safetensors")).unwrap();
    let all = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    all.tensors().into_iter().map(|(n, t)| (n, (t.shape().to_vec(), t.data().to_vec()))).collect()
}

/// A copy of a golden adapter with some keys changed.
fn changed(name: &str, changes: &[(&str, Value)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut config = read_json(&folder(name).join("adapter_config.json"));
    changes.iter().for_each(|(k, v)| config[*k] = v.clone());
    fs::write(dir.path().join("adapter_config.json"), config.to_string()).unwrap();
    fs::copy(folder(name).join("adapter_model.safetensors"), dir.path().join("adapter_model.safetensors")).unwrap();
    dir
}

#[test]
fn logits_are_those_of_peft() {
    for name in ["llama_tied", "gpt2"] {
        let figures = read_json(&folder(name).join("forward.json"));
        let (ids, at) = (indices(&figures["input_ids"]), indices(&figures["positions"]));
        let tree = Tree::sequences(&[ids.len()]).unwrap();
        let expected: Vec<f64> = figures["logits"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|r| r.as_array().unwrap())
            .map(|v| v.as_f64().unwrap())
            .collect();
        let base = open::<f32>(&golden(name));
        let mut model = base.with_adapter_folder(&folder(name)).unwrap();
        let check = |model: &Decoder<Loaded, f32>| {
            let found = model.logits(&ids, &tree, &at).unwrap().as_vec();
            found.iter().zip(&expected).map(|(f, e)| (f64::from(*f) - e).abs()).fold(0.0, f64::max)
        };
        let (beside, without) = (check(&model), check(&model.base().unwrap()));
        model.merge().unwrap();
        let merged = check(&model);
        println!("{name}: largest difference beside {beside:.1e}, merged {merged:.1e}, without the adapter {without:.2}");
        assert!(beside < 1e-5 && merged < 1e-5 && without > 0.1, "{name}: {beside}, {merged}, {without}");
    }
}

#[test]
fn what_was_read_is_written() {
    for name in ["llama_tied", "gpt2"] {
        let model = open::<f32>(&golden(name)).with_adapter_folder(&folder(name)).unwrap();
        let dir = tempfile::tempdir().unwrap();
        model.save_adapter(dir.path(), name, WeightDtype::F32).unwrap();
        assert_eq!(tensors(dir.path()), tensors(&folder(name)), "{name}");
        let (was, is) =
            (read_json(&folder(name).join("adapter_config.json")), read_json(&dir.path().join("adapter_config.json")));
        for (key, value) in is.as_object().unwrap() {
            assert_eq!(value, &was[key], "{name}: {key}");
        }
        let again = open::<f32>(&golden(name)).with_adapter_folder(dir.path()).unwrap();
        assert_eq!(again.adapter(), model.adapter());
        assert_eq!(logits(&again, &[5, 6, 7], 2), logits(&model, &[5, 6, 7], 2));
    }
}

#[test]
fn other_ways_to_write_the_same() {
    let base = open::<f32>(&golden("llama_tied"));
    let want = logits(&base.with_adapter_folder(&folder("llama_tied")).unwrap(), &[5, 6, 7], 2);
    for changes in [
        vec![("layers_to_transform", json!(1)), ("layers_pattern", json!("layers")), ("lora_dropout", json!(0))],
        vec![
            ("target_modules", json!(["mlp.down_proj", "q_proj", "self_attn.v_proj", "c_attn"])),
            ("task_type", Value::Null),
        ],
    ] {
        let found = base.with_adapter_folder(changed("llama_tied", &changes).path()).unwrap();
        assert_eq!(logits(&found, &[5, 6, 7], 2), want);
    }
    // all-linear is written by name
    let dir = tempfile::tempdir().unwrap();
    let all = base.with_lora(&LoraConfig::new(2, 2.5, Targets::AllLinear), 1).unwrap();
    all.save_adapter(dir.path(), "x", WeightDtype::F32).unwrap();
    let config = read_json(&dir.path().join("adapter_config.json"));
    assert_eq!(config["target_modules"].as_array().unwrap().len(), 7);
    assert_eq!(config["lora_alpha"], json!(2.5));
    base.with_adapter_folder(dir.path()).unwrap();
}

#[test]
fn settings_that_are_not_supported_are_named() {
    let base = open::<f32>(&golden("llama_tied"));
    for (key, value) in [
        ("use_dora", json!(true)),
        ("bias", json!("lora_only")),
        ("rank_pattern", json!({"q_proj": 4})),
        ("alpha_pattern", json!({"q_proj": 4})),
        ("modules_to_save", json!(["lm_head"])),
        ("init_lora_weights", json!("pissa")),
        ("peft_type", json!("IA3")),
        ("peft_type", Value::Null),
        ("task_type", json!("SEQ_CLS")),
        ("layers_pattern", json!("blocks")),
        ("lora_bias", json!(true)),
        ("a_key_of_tomorrow", json!(1)),
        ("target_modules", json!(".*proj")),
        ("layers_to_transform", json!("1")),
        ("lora_alpha", json!("1")),
        ("r", json!(-1)),
        ("lora_dropout", json!(0.1)),
        ("lora_dropout", json!("0")),
        ("init_lora_weights", json!("olora")),
        ("layer_replication", json!([[0, 1], [0, 1]])),
    ] {
        let dir = changed("llama_tied", &[(key, value)]);
        let e = base.with_adapter_folder(dir.path()).unwrap_err().to_string();
        assert!(e.contains("adapter_config.json: key") && e.contains(&format!("`{key}`")), "{e}");
    }
    for (key, value, says) in [
        ("lora_dropout", json!(0.05), "is 0.05; dropout is not supported, set it to 0"),
        ("target_modules", json!(["c_attn"]), "names none of the model's projections"),
        ("layers_to_transform", json!([7]), "names layer 7"),
        ("r", json!(4), "has shape [3, "),
        ("target_modules", json!(["q_proj", "v_proj"]), "does not belong"),
        ("target_modules", json!(["q_proj", "v_proj", "down_proj", "k_proj"]), "k_proj.lora_A.weight` is missing"),
    ] {
        let e = base.with_adapter_folder(changed("llama_tied", &[(key, value)]).path()).unwrap_err().to_string();
        assert!(e.contains(says), "{e}");
    }
    let dir = changed("llama_tied", &[]);
    fs::write(dir.path().join("adapter_model.safetensors"), b"short").unwrap();
    assert!(base.with_adapter_folder(dir.path()).unwrap_err().to_string().contains("truncated or damaged"));
    fs::remove_file(dir.path().join("adapter_model.safetensors")).unwrap();
    assert!(base.with_adapter_folder(dir.path()).unwrap_err().to_string().contains("adapter_model.safetensors"));
}
