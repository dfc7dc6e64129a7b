//! Low-rank adapters: gradients, what is trained, merging, bases of 16 and 8 bits.
#![allow(clippy::unwrap_used)]
mod common;
use common::gradients::{check_gradients, gradients, weigh};
use common::*;
use dfdx::prelude::*;
use serde_json::json;
use std::collections::BTreeSet;
use tropism_lm::*;
use tropism_ops::{FrozenFormat, Params, Scalar, Tree, Visit, VisitMut, data, data_mut};

type Model = Decoder<Loaded, f64>;

const IDS: [usize; 7] = [5, 9, 30, 38, 0, 17, 42];

fn loss(model: &Model) -> Tensor<Rank0, f64, Cpu, OwnedTape<f64, Cpu>> {
    let tree = Tree::sequences(&[4, 3]).unwrap();
    let batch = TokenBatch { ids: &IDS, tree: &tree, sources: &[0, 1, 2, 4, 5], targets: &[9, 30, 38, 17, 42] };
    weigh(model.token_logps(batch, OwnedTape::default()).unwrap())
}

fn named(names: &[&str]) -> Targets {
    Targets::Named(names.iter().map(|n| (*n).to_owned()).collect())
}

/// Second factors that are not 0.
struct Fill;
impl<E: Scalar> VisitMut<E> for Fill {
    type Error = std::convert::Infallible;
    fn tensor<S: Shape>(&mut self, name: &str, t: &mut Tensor<S, E, Cpu>) -> Result<(), Self::Error> {
        if name.ends_with("lora_B.weight") {
            data_mut(t).iter_mut().enumerate().for_each(|(i, v)| *v = E::c(0.3 * (1.0 + 1.3 * i as f64).sin()));
        }
        Ok(())
    }
}

fn adapted(base: &Model, config: &LoraConfig) -> Model {
    let mut model = base.with_lora(config, 4).unwrap();
    let Ok(()) = model.visit_mut(&mut Fill);
    model
}

/// Names, first addresses and numbers of tensors.
#[derive(Default)]
struct Seen(Vec<(String, usize, Vec<f64>)>);
impl<E: Scalar> Visit<E> for Seen {
    type Error = std::convert::Infallible;
    fn tensor<S: Shape>(&mut self, name: &str, t: &Tensor<S, E, Cpu>) -> Result<(), Self::Error> {
        self.0.push((name.to_owned(), data(t).as_ptr() as usize, data(t).iter().map(|v| v.f()).collect()));
        Ok(())
    }
}

fn stored(model: &Model) -> Vec<(String, usize, Vec<f64>)> {
    let mut seen = Seen::default();
    let Ok(()) = model.visit_stored(&mut seen);
    seen.0
}

fn trained(model: &Model) -> BTreeSet<String> {
    let mut seen = Seen::default();
    let Ok(()) = model.visit(&mut seen);
    seen.0.into_iter().map(|s| s.0).collect()
}

fn far(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// A random model whose logits differ clearly.
fn wide(name: &str) -> Model {
    made(name, &[("initializer_range", json!(0.2))])
}

#[test]
fn a_fresh_adapter_changes_nothing_and_alone_is_trained() {
    for (name, each) in [("llama_untied", 7), ("gpt2", 4), ("gemma2", 7)] {
        let base = wide(name);
        let layers = base.layers.len();
        let model = base.with_lora(&LoraConfig::new(3, 6.0, Targets::AllLinear), 4).unwrap();
        assert_eq!(logits(&model, &IDS, 6), logits(&base, &IDS, 6), "{name}");
        let names = trained(&model);
        assert_eq!(names.len(), 2 * each * layers, "{name}: {names:?}");
        assert!(names.iter().all(|n| n.ends_with(".lora_A.weight") || n.ends_with(".lora_B.weight")));
        // the weights are the base model's own memory
        let shared = |m: &Model| stored(m).into_iter().map(|(n, at, _)| (n, at)).collect::<Vec<_>>();
        assert_eq!(shared(&model), shared(&base));
        assert_eq!(shared(&model.base().unwrap()), shared(&base));
        assert!(trained(&model.base().unwrap()).is_empty());
    }
}

#[test]
fn first_factors_follow_seed_and_width() {
    let base = wide("llama_untied");
    let draw = |seed| {
        let mut seen = Seen::default();
        let Ok(()) =
            base.with_lora(&LoraConfig::new(8, 1.0, named(&["down_proj", "q_proj"])), seed).unwrap().visit(&mut seen);
        seen.0
    };
    let all = draw(1);
    for (name, _, values) in &all {
        let sizes = base.config().sizes;
        let width = if name.contains("down_proj") { sizes.ff } else { sizes.hidden } as f64;
        let bound = width.sqrt().recip();
        let largest = values.iter().fold(0f64, |m, v| m.max(v.abs()));
        let variance = values.iter().map(|v| v * v).sum::<f64>() / values.len() as f64;
        if name.ends_with("lora_B.weight") {
            assert_eq!(largest, 0.0, "{name}");
        } else {
            assert!(largest <= bound && (variance * 3.0 / bound.powi(2) - 1.0).abs() < 0.2, "{name}: {largest}, {variance}");
        }
    }
    assert!(all.iter().zip(draw(1)).all(|(a, b)| a.2 == b.2));
    assert!(all.iter().zip(draw(2)).any(|(a, b)| a.2 != b.2));
}

#[test]
fn gradients_of_both_factors() {
    for name in ["llama_untied", "gpt2", "gemma2", "qwen3"] {
        let mut model = adapted(&wide(name), &LoraConfig::new(2, 3.0, Targets::AllLinear));
        let kept = check_gradients(&model, 3, loss);
        assert!(kept.values().all(|g| g.iter().any(|v| *v != 0.0)), "{name}");
        model.checkpointing = true;
        assert_eq!(gradients(&model, loss(&model).backward()), kept, "{name}: with activations made again");
    }
}

#[test]
fn gradients_on_rounded_weights() {
    let base = wide("gpt2");
    let config = LoraConfig { use_rslora: true, ..LoraConfig::new(4, 3.0, named(&["c_attn", "mlp.c_proj"])) };
    for format in [FrozenFormat::Bf16, FrozenFormat::Int8] {
        let model = adapted(&base.frozen(format), &config);
        let found = check_gradients(&model, 3, loss);
        assert_eq!(found.len(), 2 * 2 * base.layers.len());
        // rounding before or after makes no difference
        assert_eq!(logits(&adapted(&base, &config).frozen(format), &IDS, 6), logits(&model, &IDS, 6));
        let e = model.clone().merge().unwrap_err().to_string();
        assert!(e.contains("16 or 8 bits"), "{e}");
    }
}

#[test]
fn focal_layers() {
    let base = wide("llama_untied");
    let last = base.layers.len() - 1;
    let config =
        LoraConfig { layers_to_transform: Some(vec![last]), ..LoraConfig::new(2, 3.0, named(&["q_proj", "o_proj"])) };
    let model = adapted(&base, &config);
    assert_eq!(check_gradients(&model, 4, loss).len(), 4);
    assert!(trained(&model).iter().all(|n| n.contains(&format!(".layers.{last}."))));
}

#[test]
fn no_gradient_of_another_tensor_is_made() {
    struct Found<'a>(&'a Gradients<f64, Cpu>, usize, usize);
    impl Visit<f64> for Found<'_> {
        type Error = std::convert::Infallible;
        fn tensor<S: Shape>(&mut self, _: &str, t: &Tensor<S, f64, Cpu>) -> Result<(), Self::Error> {
            // dfdx has no other way to ask whether a gradient is there
            let one = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.0.get(t)));
            self.1 += usize::from(one.is_ok());
            self.2 += 1;
            Ok(())
        }
    }
    let count = |model: &Model, frozen: bool| {
        // a store that keeps every gradient, those of activations too
        let grads = loss(model).backward();
        let (mut own, mut all) = (Found(&grads, 0, 0), Found(&grads, 0, 0));
        let Ok(()) = model.visit(&mut own);
        let Ok(()) = model.visit_stored(&mut all);
        assert_eq!(own.1, own.2);
        assert_eq!(all.1, if frozen { 0 } else { all.2 });
    };
    for name in ["llama_untied", "gpt2", "gemma"] {
        let mut base = wide(name);
        count(&base, false);
        let mut model = adapted(&base, &LoraConfig::new(2, 3.0, Targets::AllLinear));
        count(&model, true);
        model.checkpointing = true;
        count(&model, true);
        base.freeze(&["*"]).unwrap();
        assert_eq!(base.parameters(), 0);
    }
}

#[test]
fn merged_is_the_same_function() {
    for name in ["llama_tied", "gpt2", "qwen2"] {
        let base = wide(name);
        let mut model = adapted(&base, &LoraConfig::new(3, 5.0, Targets::AllLinear));
        let (plain, beside) = (logits(&base, &IDS, 6), logits(&model, &IDS, 6));
        assert!(far(&plain, &beside) > 0.1, "{name}: the adapter does something");
        model.merge().unwrap();
        assert!(model.is_merged() && far(&logits(&model, &IDS, 6), &beside) < 1e-11, "{name}");
        assert!(trained(&model).is_empty() && model.merge().is_err());
        let rounded = model.frozen(FrozenFormat::Bf16);
        assert!(rounded.adapter().is_none() && !rounded.is_merged());
        assert!(far(&logits(&rounded, &IDS, 6), &beside) < far(&logits(&rounded, &IDS, 6), &plain));
        assert_eq!(logits(&base, &IDS, 6), plain, "{name}: shared weights are not touched");
        assert!(far(&logits(&model.base().unwrap(), &IDS, 6), &plain) < 1e-11, "{name}");
        let dir = tempfile::tempdir().unwrap();
        model.save(dir.path(), WeightDtype::F64).unwrap();
        assert_eq!(logits(&open::<f64>(dir.path()), &IDS, 6), logits(&model, &IDS, 6), "{name}: saved");
        model.unmerge().unwrap();
        assert!(far(&logits(&model, &IDS, 6), &beside) < 1e-11 && !model.is_merged() && model.unmerge().is_err());
        for ((n, _, was), (_, _, is)) in stored(&base).iter().zip(stored(&model)) {
            assert!(far(was, &is) < 1e-14, "{name}: {n}");
        }
        let e = model.save(dir.path(), WeightDtype::F64).unwrap_err().to_string();
        assert!(e.contains("merge it before saving"), "{e}");
        let prompt = vec![IDS.iter().map(|&i| i as u32).collect::<Vec<_>>()];
        let greedy = Sampling { temperature: 0.0, max_new_tokens: 8, ..Sampling::default() };
        let (a, plain) = (model.clone(), model.merged().unwrap());
        assert_eq!(trained(&plain), trained(&base));
        let answers = |m: &Model| m.generate(&prompt, &greedy, &[], 0).unwrap().remove(0).tokens;
        assert_eq!(answers(&a), answers(&plain));
    }
}

#[test]
fn options_that_do_not_fit_are_named() {
    let base = wide("gpt2");
    let good = LoraConfig::new(2, 3.0, named(&["c_attn"]));
    let refused = |config: LoraConfig| base.with_lora(&config, 1).unwrap_err().to_string();
    for (config, says) in [
        (LoraConfig { r: 0, ..good.clone() }, "`r`"),
        (LoraConfig { alpha: f64::NAN, ..good.clone() }, "`alpha`"),
        (LoraConfig { target_modules: named(&[]), ..good.clone() }, "`target_modules` is empty"),
        (
            LoraConfig { target_modules: named(&["c_attn", "q_proj"]), ..good.clone() },
            "`q_proj`, which is none of the model's projections: c_attn, c_fc, c_proj",
        ),
        (LoraConfig { target_modules: named(&["_attn"]), ..good.clone() }, "`_attn`"),
        (LoraConfig { layers_to_transform: Some(vec![0, 9]), ..good.clone() }, "`layers_to_transform` names layer 9"),
        (LoraConfig { layers_to_transform: Some(vec![]), ..good.clone() }, "`layers_to_transform` is empty"),
    ] {
        let e = refused(config);
        assert!(e.contains(says), "{e}");
    }
    let model = base.with_lora(&good, 1).unwrap();
    assert!(model.with_lora(&good, 1).unwrap_err().to_string().contains("has an adapter"));
    assert!(base.clone().merge().is_err() && base.save_adapter(std::path::Path::new("."), "", WeightDtype::F32).is_err());
    let read = |text: &str| serde_json::from_str::<LoraConfig>(text).map_err(|e| e.to_string());
    let all = read(r#"{"r": 2, "alpha": 3, "target_modules": "all-linear", "layers_to_transform": [0]}"#).unwrap();
    assert_eq!(read(&serde_json::to_string(&all).unwrap()).unwrap(), all);
    for (text, says) in [
        (r#"{"r": 2, "alpha": 3, "target_modules": ["a"], "lora_dropout": 0.1}"#, "lora_dropout"),
        (r#"{"r": 2, "alpha": 3, "target_modules": ".*_proj"}"#, "`.*_proj`; patterns are not supported"),
        (r#"{"r": 2, "alpha": 3, "target_modules": 3}"#, "`all-linear` or a list"),
        (r#"{"r": 2, "target_modules": ["a"]}"#, "alpha"),
    ] {
        let e = read(text).unwrap_err();
        assert!(e.contains(says), "{e}");
    }
}
