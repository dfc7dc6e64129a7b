//! Saving and loading again, shards, and what broken folders say.
#![allow(clippy::unwrap_used)]
use dfdx::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};
use tropism_lm::*;
use tropism_ops::{Tree, data};

fn golden(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/models")).join(name)
}

fn open(folder: &Path) -> Result<Decoder<Loaded, f32>, LmError> {
    load(folder, |c| Ok(Loaded::new(c)))
}

fn logps(model: &Decoder<Loaded, f32>) -> Vec<f32> {
    let tree = Tree::sequences(&[4]).unwrap();
    let batch = TokenBatch { ids: &[7, 8, 9, 10], tree: &tree, sources: &[0, 1, 2], targets: &[8, 9, 10] };
    model.token_logps(batch, NoneTape).unwrap().as_vec()
}

fn text(path: &Path) -> serde_json::Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn a_saved_folder_loads_to_the_same_logps() {
    for name in ["llama_tied", "llama_untied"] {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("model");
        let model = open(&golden(name)).unwrap();
        // leftovers of a writer that was killed at its worst moments
        fs::create_dir(dir.path().join(".model.old")).unwrap();
        fs::write(dir.path().join(".model.old/x"), "").unwrap();
        fs::create_dir(dir.path().join(".model.part")).unwrap();
        for _ in 0..2 {
            let writer = FolderWriter::new(&target).unwrap();
            model.save(writer.path(), WeightDtype::F32).unwrap();
            writer.finish().unwrap();
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing but the folder is left");
        assert_eq!(logps(&open(&target).unwrap()), logps(&model));
        let (was, is) = (text(&golden(name).join("config.json")), text(&target.join("config.json")));
        assert_eq!(was, is, "config.json keeps its style and its other keys");
    }
}

#[test]
fn half_precision_is_rounded_once() {
    let dir = tempfile::tempdir().unwrap();
    let model = open(&golden("llama_tied")).unwrap();
    for (dtype, name, step) in [(WeightDtype::Bf16, "bfloat16", 1.0 / 256.0), (WeightDtype::F16, "float16", 1.0 / 2048.0)] {
        model.save(dir.path(), dtype).unwrap();
        let again = open(dir.path()).unwrap();
        assert_eq!(text(&dir.path().join("config.json"))["dtype"], name);
        // below 2^-14 a half float has fewer digits
        let pairs = data(&again.embed.dense().unwrap().values)
            .iter()
            .zip(data(&model.embed.dense().unwrap().values))
            .filter(|(_, b)| b.abs() > 1e-3);
        let worst = pairs.map(|(a, b)| ((a - b) / b).abs()).fold(0.0, f32::max);
        assert!(worst > 0.0 && worst <= step, "{name}: {worst}");
        model.save(dir.path(), dtype).unwrap();
    }
    let mut wide = model.clone();
    tropism_ops::data_mut(&mut wide.norm.weight.values)[3] = 1e6;
    let e = wide.save(dir.path(), WeightDtype::F16).unwrap_err().to_string();
    assert!(e.contains("model.norm.weight") && e.contains("element 3"), "{e}");
}

/// Splits the weights of a folder over two files with an index.
fn shard(from: &Path, to: &Path) {
    fs::copy(from.join("config.json"), to.join("config.json")).unwrap();
    let bytes = fs::read(from.join("model.safetensors")).unwrap();
    let all = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut map = serde_json::Map::new();
    for part in 0..2 {
        let file = format!("model-0000{}-of-00002.safetensors", part + 1);
        let mine: Vec<_> = all.tensors().into_iter().filter(|(n, _)| n.len() % 2 == part).collect();
        mine.iter().for_each(|(n, _)| drop(map.insert(n.clone(), file.clone().into())));
        safetensors::serialize_to_file(mine, None, &to.join(file)).unwrap();
    }
    let index = serde_json::json!({"metadata": {}, "weight_map": map});
    fs::write(to.join("model.safetensors.index.json"), index.to_string()).unwrap();
}

#[test]
fn sharded_weights_load_and_a_missing_shard_is_named() {
    let dir = tempfile::tempdir().unwrap();
    shard(&golden("llama_untied"), dir.path());
    assert_eq!(logps(&open(dir.path()).unwrap()), logps(&open(&golden("llama_untied")).unwrap()));
    fs::remove_file(dir.path().join("model-00002-of-00002.safetensors")).unwrap();
    let e = open(dir.path()).unwrap_err().to_string();
    assert!(e.contains("model-00002-of-00002.safetensors"), "{e}");
}

/// What loading says after `change` was done to a copy of a good folder.
fn complaint(change: impl Fn(&Path)) -> String {
    let dir = tempfile::tempdir().unwrap();
    for f in ["config.json", "model.safetensors"] {
        fs::copy(golden("llama_untied").join(f), dir.path().join(f)).unwrap();
    }
    change(dir.path());
    open(dir.path()).unwrap_err().to_string()
}

fn edit(folder: &Path, key: &str, value: serde_json::Value) {
    let mut config = text(&folder.join("config.json"));
    config[key] = value;
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
}

#[test]
fn broken_folders_name_file_and_key() {
    let cut = complaint(|d| {
        let path = d.join("model.safetensors");
        let bytes = fs::read(&path).unwrap();
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    });
    assert!(cut.contains("model.safetensors") && cut.contains("truncated"), "{cut}");
    let e = complaint(|d| fs::write(d.join("model.safetensors"), b"").unwrap());
    assert!(e.contains("truncated"), "{e}");
    let e = complaint(|d| fs::remove_file(d.join("config.json")).unwrap());
    assert!(e.contains("config.json"), "{e}");
    let e = complaint(|d| fs::write(d.join("config.json"), "{").unwrap());
    assert!(e.contains("config.json") && e.contains("not a usable"), "{e}");
    let e = complaint(|d| edit(d, "hidden_size", 32.into()));
    assert!(e.contains("model.embed_tokens.weight") && e.contains("shape"), "{e}");
    let e = complaint(|d| edit(d, "num_hidden_layers", 3.into()));
    assert!(e.contains("model.layers.2.") && e.contains("missing"), "{e}");
    let e = complaint(|d| edit(d, "num_hidden_layers", 1.into()));
    assert!(e.contains("does not belong"), "{e}");
    for (key, value) in [
        ("model_type", "mamba".into()),
        ("hidden_act", "relu".into()),
        ("num_key_value_heads", 3.into()),
        ("num_attention_heads", 0.into()),
        ("head_dim", 15.into()),
        ("rope_scaling", serde_json::json!({"rope_type": "longrope"})),
    ] {
        let e = complaint(|d| edit(d, key, value.clone()));
        assert!(e.contains(key), "{key}: {e}");
    }
}

#[test]
fn a_weight_that_is_no_number_is_refused() {
    let e = complaint(|d| {
        let mut model = open(d).unwrap();
        tropism_ops::data_mut(&mut model.norm.weight.values)[1] = f32::NAN;
        // the writer refuses it too, so the bytes are changed by hand
        assert!(model.save(d, WeightDtype::F32).is_err());
        let path = d.join("model.safetensors");
        let mut bytes = fs::read(&path).unwrap();
        let n = bytes.len();
        bytes[n - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
        fs::write(path, bytes).unwrap();
    });
    assert!(e.contains("NaN") && e.contains("tensor `"), "{e}");
}

#[test]
fn ids_and_lengths_are_checked() {
    let model = open(&golden("llama_tied")).unwrap();
    let tree = Tree::sequences(&[2]).unwrap();
    let batch = TokenBatch { ids: &[1, 384], tree: &tree, sources: &[0], targets: &[2] };
    let e = model.token_logps(batch, NoneTape).unwrap_err().to_string();
    assert!(e.contains("token id 384 at position 1"), "{e}");
    let batch = TokenBatch { ids: &[1, 2], tree: &tree, sources: &[0], targets: &[500] };
    assert!(model.token_logps(batch, NoneTape).unwrap_err().to_string().contains("500"));
    let long = vec![1; 129];
    let e = model.logits(&long, &Tree::sequences(&[129]).unwrap(), &[0]).unwrap_err().to_string();
    assert!(e.contains("129") && e.contains("max_position_embeddings of 128"), "{e}");
}
