//! The loop: accumulation, resume, references, refusals.
#![allow(clippy::unwrap_used, clippy::single_range_in_vec_init)]
use dfdx::prelude::*;
use std::path::Path;
use tropism_data::record::Source;
use tropism_data::tokens::{TokenPair, TokenSample};
use tropism_lm::{Config, Decoder, Loaded, LoraConfig, Sizes, Targets, WeightDtype};
use tropism_objectives::{Aot, Bco, Cpo, Dpo, Kto, Objective, Sft, Simpo, Tpo, Xpo};
use tropism_ops::{Params, Scalar, Visit, data, data_mut};
use tropism_trainer::*;

mod by_hand;
#[allow(dead_code)]
#[cfg(feature = "http")]
#[path = "../../../evaluation/tests/judge/server.rs"]
mod chat;
mod distil;
#[cfg(feature = "http")]
mod engine;
mod episodes;
mod feeds;
mod fresh;
#[cfg(feature = "http")]
mod judge;
mod online;
mod reward;
#[cfg(feature = "http")]
mod server;
mod shaped;

const VOCAB: usize = 24;

fn model<E: Scalar>(seed: u64) -> Decoder<Loaded, E>
where
    Cpu: Device<E>,
{
    let sizes = Sizes { vocab: VOCAB, hidden: 8, ff: 12, layers: 2, heads: 2, kv_heads: 1, head_dim: 4, positions: 64 };
    let config = Config::new(sizes, true).unwrap().with_initializer_range(0.3);
    Decoder::random(Loaded::new(config), seed).unwrap()
}

fn word(i: usize, n: usize) -> Vec<u32> {
    (0..n).map(|j| ((i * 7 + j * 5 + i * j) % VOCAB) as u32).collect()
}

fn pairs(n: usize) -> Rows {
    let pair = |i: usize| TokenPair {
        source: Source::row("pairs.jsonl", i + 1),
        prompt: word(i, 2 + i % 4),
        chosen: word(i + 50, 1 + i % 5),
        rejected: word(i + 90, 1 + i % 3),
        rejected_prompt: None,
        given: Default::default(),
        numbers: Default::default(),
    };
    Rows::Pairs((0..n).map(pair).collect())
}

fn unpaired(n: usize) -> Rows {
    let Rows::Pairs(pairs) = pairs(n) else { unreachable!() };
    Rows::unpaired(&pairs)
}

fn samples(n: usize) -> Rows {
    let sample = |i: usize| TokenSample {
        source: Source::row("samples.jsonl", i + 1),
        prompt: word(i, 3),
        completion: word(i + 30, 1 + i % 6),
        given: vec![],
    };
    Rows::Samples((0..n).map(sample).collect())
}

fn dpo(batch_size: usize) -> Stage {
    Stage { batch_size, ..Stage::new("dpo", Objective::Dpo(Dpo::default()), 1e-2) }
}

fn lora() -> LoraConfig {
    LoraConfig { layers_to_transform: Some(vec![1]), ..LoraConfig::new(2, 8.0, Targets::AllLinear) }
}

/// All weights in one list.
fn weights<E: Scalar>(model: &Decoder<Loaded, E>) -> Vec<E> {
    struct All<E>(Vec<E>);
    impl<E: Scalar> Visit<E> for All<E> {
        type Error = ();
        fn tensor<S: Shape>(&mut self, _: &str, t: &Tensor<S, E, Cpu>) -> Result<(), ()> {
            self.0.extend_from_slice(data(t));
            Ok(())
        }
    }
    let mut all = All(vec![]);
    model.visit(&mut all).unwrap();
    all.0
}

fn trained<E: Scalar>(stage: &Stage, rows: &Rows) -> (Vec<E>, Vec<StepMetrics>)
where
    Cpu: Device<E>,
{
    let start = model::<E>(1);
    let reference = stage.objective.needs_reference().then(|| start.clone());
    let mut run = StageRun::new(stage, rows, start, reference.as_ref(), 3).unwrap();
    run.check_reference().unwrap();
    let mut seen = vec![];
    while let Some(m) = run.next_step().unwrap() {
        seen.push(m);
    }
    (weights(run.policy()), seen)
}

#[test]
fn any_split_into_micro_batches_gives_the_same_update() {
    let sft = Stage { batch_size: 6, ..Stage::new("sft", Objective::Sft(Sft::default()), 1e-2) };
    // means over pairs and over tokens in one loss
    let cpo = Stage { batch_size: 6, ..Stage::new("cpo", Cpo::default().into(), 1e-2) };
    for (stage, rows) in [(sft, samples(13)), (dpo(6), pairs(13)), (cpo, pairs(13))] {
        let (whole, a) = trained::<f64>(&Stage { micro_batch_tokens: 100_000, ..stage.clone() }, &rows);
        for tokens in [1, 17, 40] {
            let (split, b) = trained::<f64>(&Stage { micro_batch_tokens: tokens, ..stage.clone() }, &rows);
            let worst = whole.iter().zip(&split).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
            assert!(worst < 1e-12, "{} at {tokens} tokens: {worst}", stage.name);
            assert!(a.iter().zip(&b).all(|(x, y)| (x.loss - y.loss).abs() < 1e-12));
        }
    }
}

#[test]
fn a_policy_that_is_its_own_reference_starts_at_ln_2_and_learns() {
    let stage = Stage { epochs: 30, ..dpo(8) };
    let (_, seen) = trained::<f32>(&stage, &pairs(8));
    assert!((seen[0].loss - 2f64.ln()).abs() < 1e-6);
    assert!(seen[0].figures["rewards/margins"].as_f64().unwrap().abs() < 1e-5);
    let last = seen.last().unwrap();
    assert!(last.loss < 0.4 && last.figures["rewards/accuracies"] == 1.0, "{last:?}");
    assert_eq!((last.step, last.epoch), (30, 30.0));
    assert!(seen[0].learning_rate < seen[3].learning_rate && last.learning_rate < seen[3].learning_rate);
}

#[test]
fn an_adapter_learns_and_the_weights_below_it_stay() {
    let (start, rows) = (model::<f32>(1), pairs(8));
    let stage = Stage { epochs: 30, lora: Some(lora()), ..dpo(8) };
    let mut run = StageRun::new(&stage, &rows, start.clone(), Some(&start), 3).unwrap();
    run.check_reference().unwrap();
    // seven projections of one layer, two factors each
    assert_eq!(run.policy().parameters(), 2 * (2 * (8 + 8) + 2 * (8 + 4) + 3 * (8 + 12)));
    let mut losses = vec![];
    while let Some(m) = run.next_step().unwrap() {
        losses.push(m.loss);
    }
    assert!((losses[0] - 2f64.ln()).abs() < 1e-6 && losses[29] < 0.55, "{losses:?}");
    let policy = run.into_policy();
    let mut base = policy.base().unwrap();
    base.unfreeze();
    assert_eq!(weights(&base), weights(&start));
    assert_ne!(weights(&policy.merged().unwrap()), weights(&start));
    let bad = Stage { lora: Some(LoraConfig { layers_to_transform: Some(vec![2]), ..lora() }), ..stage };
    let e = StageRun::new(&bad, &rows, start.clone(), Some(&start), 3).map(|_| ()).unwrap_err().to_string();
    assert!(e.contains("lora") && e.contains("names layer 2"), "{e}");
}

/// Runs a stage in one go, or stopped after `stop` steps and restored, and returns all its files' bytes.
fn bytes(stage: &Stage, rows: &Rows, stop: Option<usize>) -> (Vec<u8>, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let (log, checkpoint) = (dir.path().join("metrics.jsonl"), dir.path().join("checkpoint"));
    let start = model::<f32>(1);
    let reference = stage.objective.needs_reference().then(|| start.clone());
    let mut metrics = Metrics::create(&log).unwrap();
    let mut run = StageRun::new(stage, rows, start, reference.as_ref(), 3).unwrap();
    if let Some(stop) = stop {
        for _ in 0..stop {
            metrics.write(&run.next_step().unwrap().unwrap()).unwrap();
        }
        run.save(&checkpoint, metrics.bytes()).unwrap();
        // steps after the checkpoint are lost with the process
        metrics.write(&run.next_step().unwrap().unwrap()).unwrap();
        drop(run);
        let (restored, bytes) = StageRun::restore(stage, rows, &checkpoint).unwrap();
        assert_eq!(restored.done(), stop);
        run = restored;
        metrics = Metrics::resume(&log, bytes).unwrap();
    }
    run.run(&mut metrics, &checkpoint, &Progress::hidden(), |_| {}).unwrap();
    let policy = run.into_policy();
    let policy = if stage.lora.is_some() { policy.merged().unwrap() } else { policy };
    policy.save(dir.path(), WeightDtype::F32).unwrap();
    (std::fs::read(dir.path().join("model.safetensors")).unwrap(), std::fs::read(log).unwrap())
}

#[test]
fn a_restored_run_makes_the_same_bytes() {
    let sft = Stage { batch_size: 4, epochs: 3, ..Stage::new("sft", Objective::Sft(Sft::default()), 1e-2) };
    let dpo = Stage { epochs: 3, weight_decay: 0.1, ..dpo(4) };
    let adapter = Stage { lora: Some(lora()), gradient_checkpointing: true, ..dpo.clone() };
    for (stage, rows) in [(sft, samples(14)), (dpo, pairs(14)), (adapter, pairs(14))] {
        let (weights, log) = bytes(&stage, &rows, None);
        for stop in [1, 4, 7] {
            let (again, log_again) = bytes(&stage, &rows, Some(stop));
            assert!(again == weights, "{}: weights differ after a stop at {stop}", stage.name);
            assert_eq!(String::from_utf8(log_again).unwrap(), String::from_utf8(log.clone()).unwrap());
        }
    }
}

#[test]
fn checkpoints_appear_as_often_as_asked() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = dir.path().join("checkpoint");
    let stage = Stage { checkpoint_every: 2, ..dpo(2) };
    let rows = pairs(10);
    let (start, mut at) = (model::<f32>(1), vec![]);
    let mut metrics = Metrics::create(&dir.path().join("m")).unwrap();
    let mut run = StageRun::new(&stage, &rows, start.clone(), Some(&start), 3).unwrap();
    run.run(&mut metrics, &checkpoint, &Progress::hidden(), |_| at.push(Saved::read(&checkpoint).unwrap().map(|s| s.step)))
        .unwrap();
    assert_eq!(at, [None, None, Some(2), Some(2), Some(4)]);
}

fn refusal(stage: &Stage, rows: &Rows, folder: &Path) -> String {
    StageRun::<_, f32>::restore(stage, rows, folder).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn a_checkpoint_of_something_else_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (stage, rows, folder) = (dpo(4), pairs(9), dir.path().join("checkpoint"));
    let start = model::<f32>(1);
    let mut run = StageRun::new(&stage, &rows, start.clone(), Some(&start), 3).unwrap();
    assert!(refusal(&stage, &rows, &folder).contains("is missing"));
    run.next_step().unwrap();
    run.save(&folder, 0).unwrap();
    let other = Stage { learning_rate: 1e-3, ..stage.clone() };
    assert!(refusal(&other, &rows, &folder).contains("other options of stage `dpo`"));
    assert!(refusal(&stage, &pairs(8), &folder).contains("made on 9 rows, there are 8"));
    let path = folder.join("optimiser.safetensors");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 9]).unwrap();
    let e = refusal(&stage, &rows, &folder);
    assert!(e.contains("optimiser.safetensors") && e.contains("truncated"), "{e}");
    std::fs::write(folder.join("state.json"), "{").unwrap();
    assert!(refusal(&stage, &rows, &folder).contains("state.json"));
}

#[test]
fn rows_and_references_must_fit_the_objective() {
    let start = model::<f32>(1);
    let new = |stage: &Stage, rows: &Rows, reference: Option<&Decoder<Loaded, f32>>| {
        StageRun::new(stage, rows, start.clone(), reference, 0).map(|_| ()).unwrap_err().to_string()
    };
    assert!(new(&dpo(4), &pairs(0), Some(&start)).contains("no rows"));
    assert!(new(&dpo(4), &samples(3), Some(&start)).contains("wrong kind of rows"));
    assert!(new(&dpo(4), &pairs(3), None).contains("reference"));
    let simpo = Stage::new("s", Objective::Simpo(Simpo::default()), 1e-3);
    assert!(new(&simpo, &pairs(3), Some(&start)).contains("reference"));
    for (objective, rows, part) in [
        (Kto::default().into(), samples(3), "kto was given the wrong kind of rows"),
        (Tpo::default().into(), pairs(3), "tpo reads pairs with a third completion, which stages cannot give it yet"),
        (Xpo::default().into(), pairs(3), "xpo reads `policy_sample_chosen`, which not all rows have"),
        (Bco::default().into(), unpaired(3), "bco reads `reward_shift`, which a stage cannot give it yet"),
        (Kto::default().into(), unpaired(1), "kto compares answers of different prompts"),
    ] {
        let e = new(&Stage::new("s", objective, 1e-3), &rows, Some(&start));
        assert!(e.contains("`objective`") && e.contains(part), "{e}");
    }
}

#[test]
fn a_step_whose_rows_are_compared_is_not_split() {
    let (start, rows) = (model::<f32>(1), pairs(6));
    let stage = |batch_size: usize, tokens: usize| {
        let aot = Stage::new("aot", Aot::default().into(), 1e-3);
        Stage { batch_size, micro_batch_tokens: tokens, epochs: 3, ..aot }
    };
    let new = |stage: &Stage, seed: u64| {
        let run = StageRun::new(stage, &rows, start.clone(), Some(&start), seed);
        run.map(|mut run| while run.next_step().unwrap().is_some() {}).map_err(|e| e.to_string())
    };
    // the widest of the steps at this seed, found by hand
    let lengths = rows.lengths();
    for seed in 0..4 {
        let mut order = tropism_data::order::Order::new(6, seed, true).unwrap();
        let most = (0..6).map(|_| order.batch(4).iter().map(|&r| lengths[r]).sum::<usize>()).max().unwrap();
        assert_eq!(new(&stage(4, most), seed), Ok(()));
        let e = new(&stage(4, most - 1), seed).unwrap_err();
        let parts = ["`micro_batch_tokens` is", "aot compares its rows", &format!("have {most} tokens; set it to {most}")];
        parts.iter().for_each(|p| assert!(e.contains(p), "{e}"));
    }
    // one row cannot be split
    assert_eq!(new(&stage(1, 1), 3), Ok(()));
}

#[test]
fn a_reference_that_is_not_the_policy_is_noticed() {
    let (stage, rows) = (dpo(4), pairs(5));
    let run = StageRun::new(&stage, &rows, model::<f32>(1), Some(&model::<f32>(2)), 0).unwrap();
    let e = run.check_reference().unwrap_err().to_string();
    assert!(e.contains("stage `dpo`, pairs.jsonl") && e.contains("should agree"), "{e}");
}

#[test]
fn a_value_that_is_no_number_ends_the_run_with_its_row() {
    let (stage, rows) = (Stage { batch_size: 3, ..Stage::new("sft", Objective::Sft(Sft::default()), 1e-2) }, samples(6));
    let mut broken = model::<f32>(1);
    data_mut(&mut broken.norm.weight.values)[0] = f32::NAN;
    let e = StageRun::new(&stage, &rows, broken, None, 0).unwrap().next_step().unwrap_err().to_string();
    assert!(e.contains("stage `sft`, step 1") && e.contains("samples.jsonl") && e.contains("NaN"), "{e}");
    // an update that blows the weights up is caught in the step after it
    let wild = Stage { learning_rate: 1e30, schedule: Schedule::Constant, warmup_ratio: 0.0, ..stage };
    let mut run = StageRun::new(&wild, &rows, model::<f32>(1), None, 0).unwrap();
    let e = std::iter::repeat_with(|| run.next_step()).find_map(Result::err).unwrap().to_string();
    assert!(e.contains("stage `sft`, step 2"), "{e}");
}

#[test]
fn scores_do_not_depend_on_the_batch() {
    let Rows::Pairs(rows) = pairs(9) else { unreachable!() };
    let model = model::<f64>(4);
    let (together, alone) = (score_pairs(&model, &rows, 10_000).unwrap(), score_pairs(&model, &rows, 1).unwrap());
    for (a, b) in together.iter().zip(&alone) {
        assert!((a.chosen.logps - b.chosen.logps).abs() < 1e-12 && (a.rejected.logps - b.rejected.logps).abs() < 1e-12);
        assert_eq!((a.chosen.tokens, a.rejected.tokens), (b.chosen.tokens, b.rejected.tokens));
    }
    let chosen: Vec<TokenSample> = rows.iter().map(TokenPair::chosen_sample).collect();
    for (a, b) in score_samples(&model, &chosen, 30).unwrap().iter().zip(&together) {
        assert!((a.logps - b.chosen.logps).abs() < 1e-12);
    }
}
