//! Freezing by pattern: what is trained, what is saved, what changes.
#![allow(clippy::unwrap_used)]
mod common;
use common::gradients::{check_gradients, weigh};
use common::*;
use dfdx::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;
use tropism_lm::*;
use tropism_ops::{AdamW, Params, Tree, Visit, alloc_grads, data, tape_into};

type Model = Decoder<Loaded, f64>;

const IDS: [usize; 5] = [5, 9, 30, 38, 0];

#[derive(Default)]
struct Values(BTreeMap<String, Vec<f64>>);
impl Visit<f64> for Values {
    type Error = std::convert::Infallible;
    fn tensor<S: Shape>(&mut self, name: &str, t: &Tensor<S, f64, Cpu>) -> Result<(), Self::Error> {
        self.0.insert(name.to_owned(), data(t).to_vec());
        Ok(())
    }
}

fn stored(model: &Model) -> BTreeMap<String, Vec<f64>> {
    let mut values = Values::default();
    let Ok(()) = model.visit_stored(&mut values);
    values.0
}

fn trained(model: &Model) -> Vec<String> {
    let mut values = Values::default();
    let Ok(()) = model.visit(&mut values);
    values.0.into_keys().collect()
}

fn logps(model: &Model, tape: OwnedTape<f64, Cpu>) -> Tensor<Rank0, f64, Cpu, OwnedTape<f64, Cpu>> {
    let tree = Tree::sequences(&[5]).unwrap();
    let batch = TokenBatch { ids: &IDS, tree: &tree, sources: &[0, 1, 2, 3], targets: &IDS[1..] };
    weigh(model.token_logps(batch, tape).unwrap())
}

#[test]
fn an_optimiser_moves_what_is_trained_and_all_is_saved() {
    for (name, patterns) in [
        ("llama_tied", vec!["model.embed_tokens.*"]),
        ("llama_untied", vec!["*.layers.0.*", "*norm.weight"]),
        ("gpt2", vec!["transformer.w*", "*.bias", "*.ln_*.weight"]),
    ] {
        let mut model = made(name, &[("initializer_range", json!(0.2))]);
        let all = trained(&model);
        model.freeze(&patterns).unwrap();
        let left = trained(&model);
        assert!(!left.is_empty() && left.len() < all.len());
        check_gradients(&model, 2, |m| logps(m, OwnedTape::default()));
        let before = stored(&model);
        assert_eq!(before.len(), all.len());
        let mut optimiser = AdamW::new(0.1);
        let tape = tape_into(&Cpu::default(), alloc_grads(&model).unwrap());
        let mut grads = logps(&model, tape).backward();
        optimiser.step(&mut model, &mut grads, 1e-2, 1.0).unwrap();
        assert!(optimiser.moments.keys().eq(&left));
        for (n, values) in stored(&model) {
            assert_eq!(values == before[&n], !left.contains(&n), "{name}: {n}");
        }
        let dir = tempfile::tempdir().unwrap();
        model.save(dir.path(), WeightDtype::F64).unwrap();
        assert_eq!(stored(&open::<f64>(dir.path())), stored(&model));
        assert_eq!(trained(&open::<f64>(dir.path())), all);
        model.unfreeze();
        assert_eq!(trained(&model), all);
    }
}

#[test]
fn a_pattern_that_covers_nothing_is_named_and_changes_nothing() {
    let mut model = made("llama_tied", &[]);
    let all = trained(&model);
    for bad in ["embed_tokens.*", "lm_head.weight", "", "model.layers.9.*"] {
        let e = model.freeze(&["*.weight", bad]).unwrap_err().to_string();
        assert!(e.contains(&format!("pattern `{bad}` covers no tensor")), "{e}");
        assert_eq!(trained(&model), all);
    }
}
