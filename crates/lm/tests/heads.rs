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
fn parameters_are_those_of_trunk_and_heads() {
    let model = headed("llama_untied", &both());
    let hidden = model.trunk.dims.hidden().size();
    assert_eq!(model.parameters(), model.trunk.parameters() + hidden + 1 + 3 * hidden);
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

fn several(noise: f64) -> (Decoder<Loaded, f64>, LanguageHeads<Loaded, f64>) {
    let model = made("llama_untied", &[("initializer_range", json!(0.2))]);
    let heads = LanguageHeads::new(&model, 3, noise, 7).unwrap();
    (model, heads)
}

const SOURCES: [usize; 4] = [0, 3, 6, 7];
const TARGETS: [usize; 4] = [9, 0, 3, 8];

fn batch(tree: &Tree) -> TokenBatch<'_> {
    TokenBatch { ids: &IDS, tree, sources: &SOURCES, targets: &TARGETS }
}

#[test]
fn each_target_trains_its_own_language_head_and_the_trunk() {
    let (_, heads) = several(0.1);
    let tree = tree();
    let loss =
        |m: &LanguageHeads<Loaded, f64>| weigh(m.token_logps(batch(&tree), &[2, 0, 2, 0], OwnedTape::default()).unwrap());
    let found = check_gradients(&heads, 3, loss);
    let names: Vec<&String> = found.keys().filter(|n| n.starts_with("heads.")).collect();
    assert_eq!(names, ["heads.0.weight", "heads.1.weight", "heads.2.weight"]);
    assert!(found["heads.1.weight"].iter().all(|g| *g == 0.0));
    assert!(found["heads.2.weight"].iter().any(|g| *g != 0.0));
    assert!(!found.contains_key("lm_head.weight"));
}

#[test]
fn copies_of_the_head_are_the_model_and_noise_makes_them_differ() {
    let (model, heads) = several(0.0);
    let tree = tree();
    let logps =
        |h: &LanguageHeads<Loaded, f64>, of: [usize; 4]| h.token_logps(batch(&tree), &of, NoneTape).unwrap().as_vec();
    let plain = model.token_logps(batch(&tree), NoneTape).unwrap().as_vec();
    let apart = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    for of in [[0; 4], [1, 0, 2, 1]] {
        assert!(apart(&logps(&heads, of), &plain) < 1e-12);
    }
    let (_, noisy) = several(0.1);
    let each = [0, 1, 2].map(|h| logps(&noisy, [h; 4]));
    assert!(apart(&each[0], &plain) > 1e-4 && apart(&each[0], &each[1]) > 1e-4 && apart(&each[1], &each[2]) > 1e-4);
    // one head alone is what it says
    let alone = noisy.mixed(&[0.0, 2.0, 0.0]).unwrap().token_logps(batch(&tree), NoneTape).unwrap().as_vec();
    assert!(apart(&alone, &each[1]) < 1e-12);
}

#[test]
fn mixing_logits_at_decoding_is_mixing_weights() {
    let (_, heads) = several(0.3);
    let requests = [Request::new(vec![5, 9], 3), Request::new(vec![17], 2)];
    let sampling = Sampling { max_new_tokens: 12, ..Sampling::default() };
    let answers = |model: &Decoder<Loaded, f64>, weights: Option<&[f64]>| {
        let sampler = Sampler::new(model, sampling.clone()).seed(3);
        match weights {
            Some(weights) => sampler.answers_with(&requests, &mut heads.mix(weights).unwrap()).unwrap(),
            None => sampler.answers(&requests).unwrap(),
        }
    };
    let even = heads.mixed(&[1.0; 3]).unwrap();
    for weights in [[0.5, 0.25, 0.25], [2.0, 1.0, 1.0], [0.0, 0.0, 1.0]] {
        let (by_hook, by_weights) = (answers(&even, Some(&weights)), answers(&heads.mixed(&weights).unwrap(), None));
        for (a, b) in by_hook.iter().flatten().zip(by_weights.iter().flatten()) {
            assert_eq!(a.tokens, b.tokens);
            assert!(a.sampling_logps.iter().zip(&b.sampling_logps).all(|(a, b)| (a - b).abs() < 1e-5));
        }
    }
    assert!(answers(&even, Some(&[1.0, 0.0, 0.0])) != answers(&even, Some(&[0.0, 0.0, 1.0])));
}

#[test]
fn language_heads_come_back_from_their_folder() {
    let dir = tempfile::tempdir().unwrap();
    let (_, heads) = several(0.1);
    heads.save(dir.path(), WeightDtype::F64).unwrap();
    let back = LanguageHeads::<Loaded, f64>::load(dir.path(), |c| Ok(Loaded::new(c))).unwrap();
    let tree = tree();
    let of = [0, 1, 2, 1];
    let logps = |h: &LanguageHeads<Loaded, f64>| h.token_logps(batch(&tree), &of, NoneTape).unwrap().as_vec();
    assert_eq!(logps(&heads), logps(&back));
    // others read the mean of all heads
    let plain = load::<Loaded, f64>(dir.path(), |c| Ok(Loaded::new(c))).unwrap();
    let even = heads.mixed(&[1.0; 3]).unwrap();
    let both = [plain, even].map(|m| m.token_logps(batch(&tree), NoneTape).unwrap().as_vec());
    assert_eq!(both[0], both[1]);
    fs::remove_file(dir.path().join("language_heads.safetensors")).unwrap();
    assert!(LanguageHeads::<Loaded, f64>::load(dir.path(), |c| Ok(Loaded::new(c))).is_err());
}

#[test]
fn unusable_language_heads_are_named() {
    let (model, heads) = several(0.0);
    let said = |r: Result<LanguageHeads<Loaded, f64>, LmError>| r.unwrap_err().to_string();
    assert!(said(LanguageHeads::new(&model, 0, 0.0, 1)).contains("0 heads"));
    assert!(said(LanguageHeads::new(&model, 2, f64::NAN, 1)).contains("NaN"));
    let tied: Decoder<Loaded, f64> = made("llama_tied", &[]);
    assert!(said(LanguageHeads::new(&tied, 2, 0.0, 1)).contains("tie_word_embeddings = false"));
    for wrong in [&[][..], &[1.0, 1.0], &[0.0; 3], &[1.0, -1.0, 1.0], &[f64::NAN, 1.0, 1.0]] {
        assert!(heads.mixed(wrong).is_err() && heads.mix(wrong).is_err(), "{wrong:?}");
    }
    let tree = tree();
    assert!(heads.token_logps(batch(&tree), &[0, 0, 0, 3], NoneTape).is_err());
    assert!(heads.token_logps(batch(&tree), &[0, 0], NoneTape).is_err());
}
