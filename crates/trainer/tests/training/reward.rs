//! Reward models: splits, heads, resume, folders, and the rewards that they give to stages that sample.
use super::online::{environment, prompts};
use super::{model, pairs, samples};
use dfdx::prelude::*;
use std::collections::BTreeMap;
use tropism_data::tokens::{TokenPair, TokenSample};
use tropism_lm::{Dims, HeadSpec, Headed, Heads, Loaded, WeightDtype};
use tropism_ops::{Params, Scalar, Visit, data};
use tropism_policy_gradient::Grpo;
use tropism_trainer::*;

fn stage(toml: &str) -> Stage<RewardModelOptions> {
    let options = toml::from_str(toml).unwrap();
    Stage { batch_size: 6, ..Stage::of("reward", options, 1e-2) }
}

/// Pairs with an aspect that agrees with them, disagrees, or says nothing.
fn aspects(n: usize) -> Rows {
    let Rows::Pairs(mut all) = pairs(n) else { unreachable!() };
    for (i, p) in all.iter_mut().enumerate() {
        p.numbers.insert("kind".into(), (i % 3) as f64 - 1.0);
        p.numbers.insert("margin".into(), 0.1 * i as f64);
    }
    Rows::Pairs(all)
}

fn all<E: Scalar>(model: &Headed<Loaded, E>) -> Vec<E>
where
    Cpu: Device<E>,
{
    struct All<E>(Vec<E>);
    impl<E: Scalar> Visit<E> for All<E> {
        type Error = ();
        fn tensor<S: Shape>(&mut self, _: &str, t: &Tensor<S, E, Cpu>) -> Result<(), ()> {
            self.0.extend_from_slice(data(t));
            Ok(())
        }
    }
    let mut found = All(vec![]);
    model.visit(&mut found).unwrap();
    found.0
}

fn trained<E: Scalar>(stage: &Stage<RewardModelOptions>, rows: &Rows) -> (Vec<E>, Vec<StepMetrics>)
where
    Cpu: Device<E>,
{
    let mut run = RewardRun::new(stage, rows, model::<E>(1), 3).unwrap();
    let mut seen = vec![];
    while let Some(m) = run.next_step().unwrap() {
        seen.push(m);
    }
    (all(run.model()), seen)
}

const TWO: &str =
    "heads = { kind = { column = 'kind', weight = 0.5 }, reward = {} }\nloss = { centring = 0.1, margin = 'column' }";

#[test]
fn any_split_into_micro_batches_gives_the_same_update() {
    for pooling in ["last", "mean"] {
        let stage = stage(&format!("pooling = '{pooling}'\n{TWO}"));
        let (want, a) = trained::<f64>(&Stage { micro_batch_tokens: 100_000, ..stage.clone() }, &aspects(13));
        for tokens in [1, 17, 40] {
            let (split, b) = trained::<f64>(&Stage { micro_batch_tokens: tokens, ..stage.clone() }, &aspects(13));
            let worst = want.iter().zip(&split).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
            assert!(worst < 1e-12, "{pooling} at {tokens} tokens: {worst}");
            for (x, y) in a.iter().zip(&b) {
                assert!((x.loss - y.loss).abs() < 1e-12, "{x:?} {y:?}");
                for (name, value) in &x.figures {
                    assert!((value.as_f64().unwrap() - y.figures[name].as_f64().unwrap()).abs() < 1e-12, "{name}");
                }
            }
        }
    }
}

/// Loss of the first step from the scores of the heads that a stage starts with.
#[test]
fn the_first_loss_is_that_of_the_fresh_heads() {
    let stage = Stage { batch_size: 5, ..stage(TWO) };
    let rows = aspects(5);
    let run = RewardRun::new(&stage, &rows, model::<f64>(1), 3).unwrap();
    let card = RewardCard::default();
    let fresh = RewardModel { model: run.model().clone(), card };
    let Rows::Pairs(all) = &rows else { unreachable!() };
    let sides = |p: &TokenPair| [p.chosen_sample(), p.rejected_sample()];
    let flat: Vec<TokenSample> = all.iter().flat_map(sides).collect();
    let (mut want, softplus) = (0.0, |x: f64| x.exp().ln_1p());
    for (head, weight) in [("kind", 0.5), ("reward", 1.0)] {
        let scores = fresh.scores(head, &flat, 1000).unwrap();
        let losses: Vec<f64> = all
            .iter()
            .zip(scores.as_chunks::<2>().0)
            .filter_map(|(p, [a, b])| {
                let gap = if head == "kind" { p.numbers["kind"] } else { 1.0 };
                let (w, l) = if gap > 0.0 { (a, b) } else { (b, a) };
                (gap != 0.0).then(|| softplus(p.numbers["margin"] - (w - l)) + 0.1 * (w + l).powi(2))
            })
            .collect();
        want += weight * losses.iter().sum::<f64>() / losses.len() as f64;
    }
    let (_, seen) = trained::<f64>(&stage, &rows);
    assert!((seen[0].loss - want).abs() < 1e-12, "{} {want}", seen[0].loss);
}

#[test]
fn pairs_are_learnt_and_figures_have_trls_names() {
    let stage = Stage { epochs: 40, batch_size: 8, ..stage("") };
    let (_, seen) = trained::<f32>(&stage, &pairs(8));
    let figure = |m: &StepMetrics, name: &str| m.figures[name].as_f64().unwrap();
    let (first, last) = (&seen[0], seen.last().unwrap());
    assert!(figure(last, "accuracy") == 1.0 && last.loss < 0.2 && last.loss < first.loss, "{last:?}");
    assert!(figure(last, "margin") > 1.0 && figure(last, "min_reward") < figure(last, "mean_reward"));
    assert!(figure(last, "mean_reward") < figure(last, "max_reward") && !last.figures.contains_key("accuracy/reward"));
    // a head that always prefers the other side ends with the opposite order
    let Rows::Pairs(mut turned) = pairs(8) else { unreachable!() };
    turned.iter_mut().for_each(|p| p.numbers.extend([("against".to_owned(), -1.0)]));
    let options = "heads = { for = {}, against = { column = 'against' } }";
    let both = Stage { epochs: 40, batch_size: 8, ..super::reward::stage(options) };
    let rows = Rows::Pairs(turned);
    let mut run = RewardRun::new(&both, &rows, model::<f32>(1), 3).unwrap();
    while run.next_step().unwrap().is_some() {}
    let found = run.into_model().unwrap();
    let Rows::Pairs(all) = &rows else { unreachable!() };
    let scores = |head: &str, side: fn(&TokenPair) -> TokenSample| {
        found.scores(head, &all.iter().map(side).collect::<Vec<_>>(), 50).unwrap()
    };
    for (head, sign) in [("for", 1.0), ("against", -1.0)] {
        let (a, b) = (scores(head, TokenPair::chosen_sample), scores(head, TokenPair::rejected_sample));
        assert!(a.iter().zip(&b).all(|(a, b)| sign * (a - b) > 0.0), "{head}");
    }
    let spread = found.card.scores["for"];
    assert!(spread.std > 0.0 && spread.mean.is_finite());
}

/// Runs a stage in one go, or stopped after `stop` steps and restored: weights, and the metrics file.
fn bytes(stage: &Stage<RewardModelOptions>, rows: &Rows, stop: Option<usize>) -> (Vec<f32>, String) {
    let dir = tempfile::tempdir().unwrap();
    let (log, checkpoint) = (dir.path().join("metrics.jsonl"), dir.path().join("checkpoint"));
    let mut metrics = Metrics::create(&log).unwrap();
    let mut run = RewardRun::new(stage, rows, model(1), 3).unwrap();
    if let Some(stop) = stop {
        for _ in 0..stop {
            metrics.write(&run.next_step().unwrap().unwrap()).unwrap();
        }
        run.save(&checkpoint, metrics.bytes()).unwrap();
        metrics.write(&run.next_step().unwrap().unwrap()).unwrap();
        let (restored, bytes) = RewardRun::restore(stage, rows, &checkpoint).unwrap();
        assert_eq!(restored.done(), stop);
        run = restored;
        metrics = Metrics::resume(&log, bytes).unwrap();
    }
    run.run(&mut metrics, &checkpoint, &Progress::hidden(), |_| {}).unwrap();
    (all(run.model()), std::fs::read_to_string(log).unwrap())
}

#[test]
fn a_restored_run_makes_the_same_bits() {
    let plain = Stage { epochs: 3, weight_decay: 0.1, ..stage(TWO) };
    let adapter = Stage { lora: Some(super::lora()), gradient_checkpointing: true, ..plain.clone() };
    for stage in [plain, adapter] {
        let want = bytes(&stage, &aspects(14), None);
        for stop in [1, 4] {
            assert!(bytes(&stage, &aspects(14), Some(stop)) == want, "after a stop at {stop}");
        }
    }
}

#[test]
fn a_checkpoint_of_something_else_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (stage, rows, folder) = (stage(""), pairs(9), dir.path().join("checkpoint"));
    let refusal = |stage: &Stage<RewardModelOptions>, rows: &Rows| {
        RewardRun::<_, f32>::restore(stage, rows, &folder).map(|_| ()).unwrap_err().to_string()
    };
    assert!(refusal(&stage, &rows).contains("is missing"));
    let mut run = RewardRun::new(&stage, &rows, model::<f32>(1), 3).unwrap();
    run.next_step().unwrap();
    run.save(&folder, 0).unwrap();
    assert!(refusal(&Stage { learning_rate: 1e-3, ..stage.clone() }, &rows).contains("other options of stage `reward`"));
    assert!(refusal(&stage, &pairs(8)).contains("made on 9 rows, there are 8"));
}

#[test]
fn rows_must_say_something() {
    let refusal = |stage: &Stage<RewardModelOptions>, rows: &Rows| {
        RewardRun::new(stage, rows, model::<f32>(1), 3).map(|_| ()).unwrap_err().to_string()
    };
    assert!(refusal(&stage(""), &samples(4)).contains("has no pairs"));
    assert!(refusal(&stage(""), &pairs(0)).contains("has no pairs"));
    assert!(refusal(&stage("heads = { a = { column = 'kind' } }"), &pairs(3)).contains("`kind`, which not all rows have"));
    assert!(refusal(&stage("loss = { margin = 'column' }"), &pairs(3)).contains("`margin`"));
    let Rows::Pairs(mut mute) = pairs(3) else { unreachable!() };
    mute.iter_mut().for_each(|p| p.numbers.extend([("kind".to_owned(), 0.0)]));
    let e = refusal(&stage("heads = { a = { column = 'kind' } }"), &Rows::Pairs(mute));
    assert!(e.contains("`a` that no row says anything about"), "{e}");
}

/// A reward model with two heads.
fn scorer(pooling: Pooling) -> RewardModel<Loaded, f32> {
    let trunk = model(9);
    let spec = |name: &str| HeadSpec { name: name.into(), outputs: 1, bias: false };
    let heads = Heads::random(trunk.dims.hidden(), &[spec("a"), spec("b")], 0.5, 4).unwrap();
    let spread = Spread { mean: 0.5, std: 2.0 };
    let card = RewardCard { pooling, scores: BTreeMap::from([("a".to_owned(), spread)]) };
    RewardModel { model: Headed { trunk, heads }, card }
}

#[test]
fn a_folder_gives_the_same_scores_whatever_the_batch() {
    let Rows::Samples(rows) = samples(9) else { unreachable!() };
    for pooling in [Pooling::Last, Pooling::Mean] {
        let (dir, first) = (tempfile::tempdir().unwrap(), scorer(pooling));
        first.save(dir.path(), WeightDtype::F32).unwrap();
        let read = RewardModel::<Loaded, f32>::load(dir.path()).unwrap();
        assert_eq!(read.card, first.card);
        let want = first.scores("b", &rows, 10_000).unwrap();
        assert_eq!(read.scores("b", &rows, 10_000).unwrap(), want);
        for (a, b) in read.scores("b", &rows, 1).unwrap().iter().zip(&want) {
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
        assert!(read.head(None).unwrap_err().contains("several heads; name one of: a, b"));
        assert!(read.head(Some("c")).unwrap_err().contains("no head `c`"));
        assert_eq!(read.head(Some("b")).unwrap(), "b");
    }
    // a mean over tokens is what each of its prefixes' last tokens say
    let (last, mean) = (scorer(Pooling::Last), scorer(Pooling::Mean));
    let row = rows.iter().max_by_key(|r| r.completion.len()).unwrap();
    let prefix = |n: usize| TokenSample { completion: row.completion[..n].to_vec(), ..row.clone() };
    let prefixes: Vec<TokenSample> = (1..=row.completion.len()).map(prefix).collect();
    let by_prefix = last.scores("a", &prefixes, 1000).unwrap();
    let want = by_prefix.iter().sum::<f64>() / by_prefix.len() as f64;
    assert!((mean.scores("a", std::slice::from_ref(row), 1000).unwrap()[0] - want).abs() < 1e-5);
    let dir = tempfile::tempdir().unwrap();
    model::<f32>(1).save(dir.path(), WeightDtype::F32).unwrap();
    let e = RewardModel::<Loaded, f32>::load(dir.path()).map(|_| ()).unwrap_err().to_string();
    assert!(e.contains("no reward model"), "{e}");
}

#[test]
fn a_sequence_classifier_scores_as_its_head() {
    let (dir, Rows::Samples(rows)) = (tempfile::tempdir().unwrap(), samples(4)) else { unreachable!() };
    let trunk = model::<f32>(9);
    let spec = HeadSpec { name: "score".into(), outputs: 1, bias: false };
    let heads = Heads::random(trunk.dims.hidden(), &[spec], 0.5, 4).unwrap();
    let first = RewardModel { model: Headed { trunk, heads }, card: RewardCard::default() };
    first.model.save_classifier(dir.path(), WeightDtype::F32).unwrap();
    let read = RewardModel::<Loaded, f32>::load(dir.path()).unwrap();
    assert_eq!(read.scores("score", &rows, 100).unwrap(), first.scores("score", &rows, 100).unwrap());
}

#[test]
fn completions_are_rated_by_a_model() {
    let function: WeightedReward =
        toml::from_str("weight = 2.0\nfunction = { type = 'model', stage = 'rm', head = 'a', normalize = true }").unwrap();
    let mut options = PolicyGradientOptions::new(Grpo::default(), "score", function);
    (options.rollout.group, options.rollout.max_new_tokens) = (4, 8);
    let mut online = Stage::of("online", options, 1e-2);
    (online.batch_size, online.epochs, online.max_steps) = (5, 100, Some(3));
    let rows = prompts(7);
    let models = LoadedModels { models: BTreeMap::from([("stage rm".to_owned(), scorer(Pooling::Last))]), max_tokens: 64 };
    let with = Environment { models: Some(&models), ..environment() };
    let run = |environment: Environment| {
        let mut run =
            OnlineRun::new(&online, &rows, model::<f32>(1), Some(model(2)), environment, 3).map_err(|e| e.to_string())?;
        let m = run.next_step().map_err(|e| e.to_string())?.unwrap();
        let figure = |name: &str| m.figures[name].as_f64().unwrap();
        Ok::<_, String>([figure("reward"), figure("rewards/score/mean"), figure("rewards/score/std")])
    };
    let [reward, mean, std] = run(with).unwrap();
    assert!((reward - 2.0 * mean).abs() < 1e-9 && std > 0.0);
    // the same completions, without what the spread takes off
    let wanted = online.objective.rewards["score"].function.model().unwrap().clone();
    let plain = ModelReward { normalize: false, ..wanted.clone() };
    let Rows::Samples(some) = samples(3) else { unreachable!() };
    let (a, b) = (models.rate(&wanted, &some).unwrap(), models.rate(&plain, &some).unwrap());
    assert!(a.iter().zip(&b).all(|(a, b)| (a - (b - 0.5) / 2.0).abs() < 1e-9));
    assert!(run(environment()).unwrap_err().contains("`score` that cannot be computed: no reward models are at hand"));
    let none = LoadedModels { models: BTreeMap::new(), max_tokens: 64 };
    let e = run(Environment { models: Some(&none), ..environment() }).unwrap_err();
    assert!(e.contains("the reward model of stage rm is not at hand"), "{e}");
    assert!(models.check(&ModelReward { head: Some("b".into()), ..wanted }).unwrap_err().contains("spread"));
    for bad in ["", "stage = 'a'\nfolder = 'b'"] {
        let function = toml::from_str(&format!("[function]\ntype = 'model'\n{bad}")).unwrap();
        let options = PolicyGradientOptions::new(Grpo::default(), "score", function);
        let e = Stage::of("s", options, 1e-2).check().unwrap_err().to_string();
        assert!(e.contains("`score` that cannot be used") && e.contains("`folder`"), "{e}");
    }
}
