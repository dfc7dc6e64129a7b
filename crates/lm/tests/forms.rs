//! Forms of one model: recomputed activations, rounded products, frozen weights.
#![allow(clippy::unwrap_used)]
use dfdx::prelude::*;
use tropism_lm::{Config, Decoder, LmError, Loaded, Sizes, TokenBatch, WeightDtype};
use tropism_ops::{FrozenFormat, Precision, Scalar, Segment, Tree, param_norms};

fn model<E: Scalar>() -> Decoder<Loaded, E>
where
    Cpu: Device<E>,
{
    let sizes = Sizes { vocab: 50, hidden: 24, ff: 40, layers: 3, heads: 4, kv_heads: 2, head_dim: 6, positions: 32 };
    let config = Config::new(sizes, true).unwrap().with_initializer_range(0.3);
    Decoder::random(Loaded::new(config), 5).unwrap()
}

/// A prompt of three tokens with two answers.
fn tree() -> Tree {
    let segment = |start, len, parent| Segment { start, len, parent };
    Tree::new(vec![segment(0, 3, None), segment(3, 2, Some(0)), segment(5, 4, Some(0))]).unwrap()
}

const IDS: [usize; 9] = [1, 2, 3, 4, 5, 6, 7, 8, 9];
const SOURCES: [usize; 5] = [2, 3, 5, 6, 7];
const TARGETS: [usize; 5] = [4, 5, 7, 8, 9];

fn logps<E: Scalar>(model: &Decoder<Loaded, E>) -> Vec<E>
where
    Cpu: Device<E>,
{
    let batch = TokenBatch { ids: &IDS, tree: &tree(), sources: &SOURCES, targets: &TARGETS };
    model.token_logps(batch, NoneTape).unwrap().as_vec()
}

#[test]
fn recomputed_activations_change_nothing() {
    let mut model = model::<f64>();
    let run = |model: &Decoder<Loaded, f64>| {
        let batch = TokenBatch { ids: &IDS, tree: &tree(), sources: &SOURCES, targets: &TARGETS };
        let logps = model.token_logps(batch, OwnedTape::default()).unwrap();
        let values = logps.as_vec();
        let mut grads = logps.square().sum().backward();
        (values, param_norms(model, &mut grads).unwrap())
    };
    let kept = run(&model);
    assert!(kept.1.len() > 20 && kept.1.values().all(|n| *n > 0.0));
    model.checkpointing = true;
    assert_eq!(run(&model), kept);
}

#[test]
fn rounded_forms_stay_near_the_model() {
    let mut model = model::<f32>();
    let exact = logps(&model);
    let far = |found: Vec<f32>| exact.iter().zip(found).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    let (half, quarter) = (far(logps(&model.frozen(FrozenFormat::Bf16))), far(logps(&model.frozen(FrozenFormat::Int8))));
    model.precision = Precision::Bf16;
    let products = far(logps(&model));
    println!("largest difference: bf16 weights {half}, 8-bit weights {quarter}, bf16 products {products}");
    assert!(half > 0.0 && half < 0.08 && quarter > 0.0 && quarter < 0.25 && products < 0.08);
}

#[test]
fn a_frozen_model_is_no_longer_saved_or_trained() {
    let model = model::<f32>();
    let frozen = model.frozen(FrozenFormat::Bf16);
    assert!(frozen.is_frozen() && !model.is_frozen());
    // the norms: two per layer and the last one
    assert_eq!(frozen.parameters(), 24 * 7);
    let folder = tempfile::tempdir().unwrap();
    let e = frozen.save(folder.path(), WeightDtype::F32).unwrap_err();
    assert!(matches!(e, LmError::Invalid(_)), "{e}");
}
