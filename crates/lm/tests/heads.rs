//! Heads beside the language model's: gradients, files, and reward models against transformers.
//!
//! `tests/golden/heads` holds a `score.weight` drawn from N(0, 0.5) and what `AutoModelForSequenceClassification` of
//! transformers says with it on a model of `tests/golden/models`, in f32.
#![allow(clippy::unwrap_used)]
mod common;
use common::gradients::{check_gradients, gradients, weigh};
use common::*;
use dfdx::prelude::*;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use tropism_lm::*;
use tropism_ops::{Segment, Tree, rows};

type Model = Headed<Loaded, f64>;

const IDS: [usize; 9] = [5, 9, 30, 38, 0, 17, 42, 3, 8];

/// A prompt of three tokens with two answers, and a sequence of its own.
fn tree() -> Tree {
    let segment = |start, len, parent| Segment { start, len, parent };
    Tree::new(vec![segment(0, 3, None), segment(3, 2, Some(0)), segment(5, 1, Some(0)), segment(6, 3, None)]).unwrap()
}

fn spec(name: &str, outputs: usize, bias: bool) -> HeadSpec {
    HeadSpec { name: name.into(), outputs, bias }
}

fn headed(name: &str, specs: &[HeadSpec]) -> Model {
    let trunk = made(name, &[("initializer_range", json!(0.2))]);
    let heads = Heads::random(trunk.dims.hidden(), specs, 0.5, 9).unwrap();
    Headed { trunk, heads }
}

fn both() -> Vec<HeadSpec> {
    vec![spec("value", 1, true), spec("aspects", 3, false)]
}

#[test]
fn the_last_token_of_every_sequence() {
    assert_eq!(last_tokens(&tree()), [4, 5, 8]);
    assert_eq!(last_tokens(&Tree::sequences(&[1, 4]).unwrap()), [0, 4]);
}

#[test]
fn gradients_of_heads_and_trunk() {
    for name in ["llama_untied", "gpt2"] {
        let mut model = headed(name, &both());
        // values, rewards and log-probabilities of one pass
        let loss = |m: &Model| {
            let states = m.trunk.states(&IDS, &tree(), OwnedTape::default()).unwrap();
            let values = weigh(m.heads.scalar("value", states.with_empty_tape()).unwrap());
            let last = rows(states.with_empty_tape(), &last_tokens(&tree())).unwrap();
            let rewards = weigh(m.heads.forward("aspects", last).unwrap());
            weigh(m.trunk.logps_of(states, &[0, 3, 6], &[9, 0, 3]).unwrap()) + values + rewards
        };
        let found = check_gradients(&model, 2, loss);
        assert!(found.keys().filter(|n| n.starts_with("heads.")).eq([
            "heads.aspects.weight",
            "heads.value.bias",
            "heads.value.weight"
        ]));
        // no more than its three heads is trained on a frozen trunk, and their gradients are the same
        model.trunk.freeze(&["*"]).unwrap();
        let alone = gradients(&model, loss(&model).backward());
        assert_eq!(alone.len(), 3);
        for (n, g) in &alone {
            assert!(g.iter().zip(&found[n]).all(|(a, b)| (a - b).abs() < 1e-12), "{name}: {n}");
        }
    }
}

#[test]
fn values_and_rewards_read_the_states() {
    let model = headed("llama_untied", &both());
    let states = model.trunk.states(&IDS, &tree(), NoneTape).unwrap();
    let hand = |head: &str, row: usize, output: usize| -> f64 {
        let map = model.heads.get(head).unwrap();
        let (w, s) = (map.weight.dense().unwrap().values.as_vec(), states.as_vec());
        let width = s.len() / IDS.len();
        let bias = map.bias.as_ref().map_or(0.0, |b| b.values.as_vec()[output]);
        (0..width).map(|k| w[output * width + k] * s[row * width + k]).sum::<f64>() + bias
    };
    let values = model.values("value", &IDS, &tree(), NoneTape).unwrap().as_vec();
    assert!(values.len() == 9 && (0..9).all(|i| (values[i] - hand("value", i, 0)).abs() < 1e-12));
    let rewards = model.rewards("aspects", &IDS, &tree(), NoneTape).unwrap();
    assert_eq!((rewards.shape().0, rewards.shape().1.size()), (3, 3));
    for (i, row) in [4, 5, 8].into_iter().enumerate() {
        assert!((0..3).all(|k| (rewards.as_vec()[3 * i + k] - hand("aspects", row, k)).abs() < 1e-12));
    }
}

#[test]
fn saved_beside_the_model() {
    let model = headed("gpt2", &both());
    let dir = tempfile::tempdir().unwrap();
    model.save(dir.path(), WeightDtype::F64).unwrap();
    let again = Headed::<_, f64>::load(dir.path(), |c| Ok(Loaded::new(c))).unwrap();
    let out = |m: &Model| {
        let values = m.values("value", &IDS, &tree(), NoneTape).unwrap().as_vec();
        (values, m.rewards("aspects", &IDS, &tree(), NoneTape).unwrap().as_vec())
    };
    assert_eq!(out(&again), out(&model));
    // the trunk alone is still a model
    assert_eq!(logits(&open::<f64>(dir.path()), &IDS, 6), logits(&model.trunk, &IDS, 6));
    let names: Vec<String> = {
        let bytes = fs::read(dir.path().join("heads.safetensors")).unwrap();
        let all = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let mut names: Vec<String> = all.names().into_iter().map(String::from).collect();
        names.sort();
        names
    };
    assert_eq!(names, ["aspects.weight", "value.bias", "value.weight"]);
    let other = headed("llama_untied", &both());
    let e = Heads::<_, f64>::load(dir.path(), other.trunk.dims.hidden()).unwrap_err().to_string();
    assert!(e.contains("heads.safetensors") && e.contains("has shape [3, 48]"), "{e}");
    fs::write(dir.path().join("heads.safetensors"), b"x").unwrap();
    let e = Heads::<_, f64>::load(dir.path(), model.trunk.dims.hidden()).unwrap_err().to_string();
    assert!(e.contains("truncated or damaged"), "{e}");
}

/// The figures of one reward model, and its folder as transformers writes it.
fn golden_classifier(name: &str, folder: &Path) -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/heads");
    let figures: Value =
        serde_json::from_str(&fs::read_to_string(Path::new(path).join(format!("{name}.json"))).unwrap()).unwrap();
    let weight = figures["score.weight"].as_array().unwrap();
    let bytes: Vec<u8> =
        weight.iter().flat_map(|r| r.as_array().unwrap()).flat_map(|v| (v.as_f64().unwrap() as f32).to_le_bytes()).collect();
    let shape = vec![weight.len(), bytes.len() / 4 / weight.len()];
    let stored = fs::read(golden(name).join("model.safetensors")).unwrap();
    let all = safetensors::SafeTensors::deserialize(&stored).unwrap();
    let mut list: Vec<_> = all.tensors().into_iter().filter(|(n, _)| n != "lm_head.weight").collect();
    list.push((
        "score.weight".into(),
        safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape, &bytes).unwrap(),
    ));
    safetensors::serialize_to_file(list, None, &folder.join("model.safetensors")).unwrap();
    let mut config = config(name);
    config["architectures"] = json!(["SomethingForSequenceClassification"]);
    config["id2label"] =
        (0..weight.len()).map(|i| (i.to_string(), json!(format!("LABEL_{i}")))).collect::<serde_json::Map<_, _>>().into();
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    figures
}

fn classifier(folder: &Path) -> Result<Headed<Loaded, f32>, LmError> {
    Headed::load_classifier(folder, |c| Ok(Loaded::new(c)))
}

#[test]
fn reward_models_are_those_of_transformers() {
    for name in ["llama_untied", "gpt2"] {
        let (dir, again) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let figures = golden_classifier(name, dir.path());
        let numbers = |v: &Value| v.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect::<Vec<_>>();
        let ids: Vec<usize> = numbers(&figures["input_ids"]).into_iter().map(|i| i as usize).collect();
        let tree = Tree::sequences(&[ids.len()]).unwrap();
        let model = classifier(dir.path()).unwrap();
        let found = model.rewards("score", &ids, &tree, NoneTape).unwrap().as_vec();
        let expected = numbers(&figures["scores"]);
        assert_eq!(found.len(), expected.len());
        for (f, e) in found.iter().zip(&expected) {
            assert!((f64::from(*f) - e).abs() < 1e-5, "{name}: {f} against {e}");
        }
        model.save_classifier(again.path(), WeightDtype::F32).unwrap();
        let second = classifier(again.path()).unwrap();
        assert_eq!(second.rewards("score", &ids, &tree, NoneTape).unwrap().as_vec(), found);
        let written: Value = serde_json::from_str(&fs::read_to_string(again.path().join("config.json")).unwrap()).unwrap();
        assert!(written["architectures"][0].as_str().unwrap().ends_with("ForSequenceClassification"));
        assert_eq!(written["id2label"].as_object().unwrap().len(), expected.len());
        assert_eq!(written["label2id"]["LABEL_0"], json!(0));
        // an untied trunk has lost its output projection, and says so
        let logits = model.trunk.logits(&ids, &tree, &[0]);
        if name == "gpt2" {
            assert_eq!(logits.unwrap().as_vec(), open::<f32>(&golden(name)).logits(&ids, &tree, &[0]).unwrap().as_vec());
        } else {
            assert!(logits.unwrap_err().to_string().contains("`lm_head`"));
            assert!(model.trunk.save(again.path(), WeightDtype::F32).unwrap_err().to_string().contains("`lm_head`"));
        }
    }
}

#[test]
fn what_is_no_reward_model_is_refused() {
    let says = |r: Result<_, LmError>, text: &str| {
        let e = r.map(|_: Headed<Loaded, f32>| ()).unwrap_err().to_string();
        assert!(e.contains(text), "{e}");
    };
    says(classifier(&golden("gpt2")), "no tensor `score.weight`");
    let dir = tempfile::tempdir().unwrap();
    golden_classifier("gpt2", dir.path());
    let text = fs::read_to_string(dir.path().join("config.json")).unwrap();
    fs::write(dir.path().join("config.json"), text.replace(r#""2":"LABEL_2""#, r#""2":"a","3":"b""#)).unwrap();
    says(classifier(dir.path()), "has 3 rows, `id2label` of config.json names 4");
    let e = load::<_, f32>(dir.path(), |c| Ok(Loaded::new(c))).unwrap_err().to_string();
    assert!(e.contains("`score.weight` does not belong"), "{e}");
    let refused = |model: &Model| model.save_classifier(dir.path(), WeightDtype::F32).unwrap_err().to_string();
    assert!(refused(&headed("gpt2", &both())).contains("one head, here are 2"));
    assert!(refused(&headed("gpt2", &[spec("value", 1, true)])).contains("no bias"));
}

#[test]
fn unusable_heads_are_named() {
    let model = headed("gpt2", &both());
    let hidden = model.trunk.dims.hidden();
    let refused = |specs: &[HeadSpec], std| Heads::<_, f64>::random(hidden, specs, std, 1).unwrap_err().to_string();
    assert!(refused(&[spec("a.b", 1, false)], 0.1).contains("`a.b`"));
    assert!(refused(&[spec("", 1, false)], 0.1).contains("``"));
    assert!(refused(&[spec("a", 0, false)], 0.1).contains("`a` has no outputs"));
    assert!(refused(&[spec("a", 1, false), spec("a", 2, false)], 0.1).contains("two heads of the name `a`"));
    assert!(refused(&[spec("a", 1, false)], f64::NAN).contains("NaN"));
    let e = model.values("reward", &IDS, &tree(), NoneTape).unwrap_err().to_string();
    assert!(e.contains("no head `reward`; there are: aspects, value"), "{e}");
    let e = model.values("aspects", &IDS, &tree(), NoneTape).unwrap_err().to_string();
    assert!(e.contains("`aspects` has 3 outputs"), "{e}");
}
