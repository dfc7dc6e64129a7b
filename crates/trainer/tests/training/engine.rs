//! Rollouts by a server: the same bits as by this program, a server that dies, servers that are of no use.
use super::online::{environment, figure, length, prompts};
use super::server::{Fault, Form, Server};
use super::{model, weights};
use std::path::Path;
use std::time::{Duration, Instant};
use tropism_lm::Loaded;
use tropism_objectives::{Dpo, Objective, Xpo};
use tropism_policy_gradient::{Dapo, Grpo, KlPenalty, PolicyGradient, SamplerCorrection};
use tropism_trainer::*;

const ALL: usize = usize::MAX;

fn grpo() -> Grpo {
    Grpo::default().with_kl(KlPenalty::none())
}

fn stage(loss: impl Into<PolicyGradient>) -> Stage<PolicyGradientOptions> {
    let mut options = PolicyGradientOptions::new(loss, "length", length());
    (options.rollout.group, options.rollout.max_new_tokens) = (3, 7);
    let mut stage = Stage::of("online", options, 1e-2);
    (stage.batch_size, stage.epochs, stage.max_steps) = (4, 100, Some(4));
    stage
}

/// The same stage, with a server.
fn by(stage: &Stage<PolicyGradientOptions>, server: &Server, folder: &Path, watch: bool) -> Stage<PolicyGradientOptions> {
    let mut stage = stage.clone();
    stage.objective.rollout.engine = Some(Engine::Openai(engine(server, folder, watch)));
    stage
}

fn engine(server: &Server, folder: &Path, watch: bool) -> OpenAiEngine {
    let mut engine = OpenAiEngine::new(&server.url, "policy", folder);
    (engine.concurrency, engine.retries, engine.backoff_s, engine.timeout_s) = (3, 2, 0.005, 5.0);
    engine.reload_url = (!watch).then(|| server.reload_url());
    engine
}

struct Kept {
    weights: Vec<f32>,
    metrics: Vec<String>,
}

/// Runs a stage in its own folder, and goes on there if there is a checkpoint.
fn run(stage: &Stage<PolicyGradientOptions>, dir: &Path) -> Result<Kept, String> {
    let (log, checkpoint, rows) = (dir.join("metrics.jsonl"), dir.join("checkpoint"), prompts(11));
    let (mut run, mut metrics) = if checkpoint.exists() {
        let (run, bytes) = OnlineRun::restore(stage, &rows, None, environment(), &checkpoint).map_err(|e| e.to_string())?;
        (run, Metrics::resume(&log, bytes).unwrap())
    } else {
        let run = OnlineRun::new(stage, &rows, model::<f32>(1), None, environment(), 3).map_err(|e| e.to_string())?;
        (run, Metrics::create(&log).unwrap())
    };
    let ended = run.run(&mut metrics, &checkpoint, &Progress::hidden(), |_| {});
    ended.map_err(|e| e.to_string())?;
    let line = |line: &str| {
        let mut all: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap();
        all.retain(|k, _| !k.starts_with("time/"));
        serde_json::to_string(&all).unwrap()
    };
    let metrics = std::fs::read_to_string(&log).unwrap().lines().map(line).collect();
    Ok(Kept { weights: weights(&run.into_policy()), metrics })
}

fn same(a: &Kept, b: &Kept) {
    assert!(a.weights == b.weights, "weights differ");
    assert_eq!(a.metrics, b.metrics);
}

#[test]
fn a_server_with_the_same_draws_gives_the_same_bits() {
    let mut warm = stage(Dapo::default().with_sampler(Some(SamplerCorrection::default())));
    warm.objective.rollout.temperature = 0.7;
    warm.objective.dynamic_sampling = Some(DynamicSampling { max_rounds: 2 });
    let mut strings = stage(grpo());
    strings.objective.rollout.stop = vec!["e".into(), "gh".into()];
    strings.objective.iterations = 2;
    for plain in [warm, strings] {
        let dir = tempfile::tempdir().unwrap();
        let want = run(&plain, dir.path()).unwrap();
        for (watch, form) in [(true, Form::Ids), (false, Form::Named), (false, Form::Content), (true, Form::Letters)] {
            let dir = tempfile::tempdir().unwrap();
            let folder = dir.path().join("policy");
            let server = Server::start(folder.clone(), watch, form, Fault::None, ALL);
            let found = run(&by(&plain, &server, &folder, watch), dir.path()).unwrap();
            same(&found, &want);
            assert!(folder.join("config.json").is_file() && !dir.path().join(".policy.part").exists());
        }
    }
}

#[test]
fn a_server_that_dies_loses_nothing_and_the_next_one_may_stand_elsewhere() {
    let plain = stage(grpo());
    let dir = tempfile::tempdir().unwrap();
    let want = run(&plain, dir.path()).unwrap();
    // eleven prompts: the third step is the end of a pass
    let all = (4 + 4 + 3 + 4) * 3;
    for most in [0, 5, 12, 31, 44] {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("policy");
        let first = Server::start(folder.clone(), false, Form::Ids, Fault::None, most);
        let said = run(&by(&plain, &first, &folder, false), dir.path()).err().unwrap();
        assert!(said.contains("rollout engine http://127.0.0.1") && said.contains("a checkpoint is written"), "{said}");
        assert!(dir.path().join("checkpoint/state.json").is_file());
        let other = dir.path().join("elsewhere");
        let second = Server::start(other.clone(), true, Form::Content, Fault::None, ALL);
        let found = run(&by(&plain, &second, &other, true), dir.path()).unwrap();
        same(&found, &want);
        // what had come was not asked for again
        assert_eq!((first.served(), second.served()), (most, all - most));
    }
}

#[test]
fn servers_that_are_of_no_use_are_named() {
    let plain = stage(grpo());
    let said = |form, fault, watch: bool, change: &dyn Fn(&mut OpenAiEngine)| {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("policy");
        let server = Server::start(folder.clone(), watch, form, fault, ALL);
        let mut options = engine(&server, &folder, watch);
        change(&mut options);
        let mut stage = plain.clone();
        stage.objective.rollout.engine = Some(Engine::Openai(options));
        run(&stage, dir.path()).err().unwrap_or_default()
    };
    let same = |_: &mut OpenAiEngine| ();
    let blurred = said(Form::Blurred, Fault::None, false, &same);
    assert!(blurred.contains("not the text of exactly one token") && blurred.contains("prompts.jsonl"), "{blurred}");
    // busy for a moment is no reason to give up
    assert_eq!(said(Form::Ids, Fault::Busy, false, &|o| o.retries = 6), "");
    let clock = Instant::now();
    let silent = said(Form::Ids, Fault::Silent, false, &|o| o.timeout_s = 0.05);
    assert!(silent.contains("after 3 tries") && clock.elapsed() < Duration::from_secs(2), "{silent}");
    let stale = said(Form::Ids, Fault::Stale, true, &|o| o.timeout_s = 0.1);
    assert!(stale.contains("system_fingerprint") && stale.contains("reload_url"), "{stale}");
    let other = said(Form::Ids, Fault::Stale, false, &|o| o.max_difference = 1e-6);
    assert!(other.contains("does not run this policy"), "{other}");
    let not = said(Form::Ids, Fault::NotLoaded, false, &same);
    assert!(not.contains("did not load the policy") && not.contains("no room"), "{not}");
    // cargo gives its tests this variable
    let locked = said(Form::Ids, Fault::Locked, false, &|o| o.key_env = Some("CARGO_PKG_NAME".into()));
    assert!(locked.contains("the key is not accepted") && locked.contains("Bearer [key]"), "{locked}");
    let nobody = said(Form::Ids, Fault::None, false, &|o| o.reload_url = Some("http://127.0.0.1:1/x".into()));
    assert!(nobody.contains("http://127.0.0.1:1/x") && nobody.contains("after 3 tries"), "{nobody}");
    let missing = said(Form::Ids, Fault::None, true, &|o| o.url.push_str("/v2"));
    assert!(missing.contains("404"), "{missing}");
}

#[test]
fn a_rounded_policy_s_log_probabilities_are_computed_again() {
    let plain = stage(grpo());
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("policy");
    let server = Server::start(folder.clone(), false, Form::Ids, Fault::None, ALL);
    let mut options = engine(&server, &folder, false);
    (options.dtype, options.agreement) = (tropism_lm::WeightDtype::Bf16, 1e-7);
    let mut stage = plain;
    stage.objective.rollout.engine = Some(Engine::Openai(options));
    let rows = prompts(11);
    let mut run = OnlineRun::new(&stage, &rows, model::<f32>(1), None, environment(), 3).unwrap();
    // the loss reads the old policy only where an update is not the first
    let m = run.next_step().unwrap().unwrap();
    assert!(m.figures.get("sampling/sampling_logp_difference/max").is_none());
    stage.objective.iterations = 2;
    let mut run = OnlineRun::new(&stage, &rows, model::<f32>(1), None, environment(), 3).unwrap();
    let m = run.next_step().unwrap().unwrap();
    let most = figure(&m, "sampling/sampling_logp_difference/max");
    assert!(most > 1e-7 && most < 0.1, "{most}");
}

#[test]
fn stages_that_make_rows_sample_by_a_server_too() {
    let stage = |objective: Objective| {
        let mut options = FreshOptions::new(objective, "length", length());
        (options.rollout.group, options.rollout.max_new_tokens) = (4, 8);
        let mut stage = Stage::of("fresh", options, 1e-2);
        (stage.batch_size, stage.epochs, stage.max_steps) = (6, 100, Some(3));
        stage
    };
    let trained = |stage: &Stage<FreshOptions>| {
        let (rows, start) = (prompts(13), model::<f32>(1));
        let mut run = FreshRun::<Loaded, f32>::new(stage, &rows, start.clone(), Some(start), environment(), 3).unwrap();
        while run.next_step().unwrap().is_some() {}
        weights(run.policy())
    };
    let mut dpo = stage(Dpo::default().into());
    let want = trained(&dpo);
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("policy");
    let server = Server::start(folder.clone(), true, Form::Named, Fault::None, ALL);
    dpo.objective.rollout.engine = Some(Engine::Openai(engine(&server, &folder, true)));
    assert!(trained(&dpo) == want);
    let mut xpo = stage(Xpo::default().into());
    xpo.objective.rollout.engine = dpo.objective.rollout.engine;
    assert!(xpo.check().unwrap_err().to_string().contains("samples from the reference"));
}

#[test]
fn every_completion_has_a_seed_and_a_step_that_is_over_leaves_none_behind() {
    let plain = stage(grpo());
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("policy");
    let clock = Instant::now();
    let server = Server::start(folder.clone(), false, Form::Ids, Fault::Later, ALL);
    let (with, rows) = (by(&plain, &server, &folder, false), prompts(11));
    let mut run = OnlineRun::new(&with, &rows, model::<f32>(1), None, environment(), 3).unwrap();
    (0..2).for_each(|_| assert!(run.next_step().unwrap().is_some()));
    // a server that says when it has time is not asked before
    assert!(clock.elapsed() >= Duration::from_millis(300));
    let mut seeds = server.seeds();
    seeds.sort_unstable();
    seeds.dedup();
    assert_eq!(seeds.len(), server.served());
    run.save(&dir.path().join("c"), 0).unwrap();
    assert!(dir.path().join("c/state.json").is_file() && !dir.path().join("c/completions.json").exists());
}

#[test]
fn a_server_gets_the_policy_with_its_adapter() {
    let mut plain = Stage { lora: Some(super::lora()), learning_rate: 0.1, ..stage(grpo()) };
    (plain.warmup_ratio, plain.schedule) = (0.0, Schedule::Constant);
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("policy");
    let server = Server::start(folder.clone(), false, Form::Ids, Fault::None, ALL);
    let mut options = engine(&server, &folder, false);
    (options.agreement, options.max_difference) = (1e-3, 1e-3);
    let mut stage = plain.clone();
    stage.objective.rollout.engine = Some(Engine::Openai(options));
    assert_eq!(run(&stage, dir.path()).map(|kept| kept.metrics.len()), Ok(4));
}

#[test]
fn a_stage_that_makes_rows_goes_on_where_its_server_died() {
    let mut options = FreshOptions::new(Dpo::default().into(), "length", length());
    (options.rollout.group, options.rollout.max_new_tokens) = (3, 7);
    let mut plain = Stage::of("fresh", options, 1e-2);
    (plain.batch_size, plain.epochs, plain.max_steps) = (4, 100, Some(3));
    let (rows, start) = (prompts(8), model::<f32>(1));
    let mut run = FreshRun::<Loaded, f32>::new(&plain, &rows, start.clone(), Some(start.clone()), environment(), 3).unwrap();
    while run.next_step().unwrap().is_some() {}
    let want = weights(run.policy());
    for most in [5, 17] {
        let dir = tempfile::tempdir().unwrap();
        let (folder, checkpoint) = (dir.path().join("policy"), dir.path().join("checkpoint"));
        let mut metrics = Metrics::create(&dir.path().join("m")).unwrap();
        let first = Server::start(folder.clone(), false, Form::Ids, Fault::None, most);
        let mut stage = plain.clone();
        stage.objective.rollout.engine = Some(Engine::Openai(engine(&first, &folder, false)));
        let mut run = FreshRun::new(&stage, &rows, start.clone(), Some(start.clone()), environment(), 3).unwrap();
        assert!(run.run(&mut metrics, &checkpoint, &Progress::hidden(), |_| {}).is_err());
        let second = Server::start(folder.clone(), false, Form::Ids, Fault::None, ALL);
        stage.objective.rollout.engine = Some(Engine::Openai(engine(&second, &folder, false)));
        let (mut run, _) =
            FreshRun::<Loaded, f32>::restore(&stage, &rows, Some(start.clone()), environment(), &checkpoint).unwrap();
        while run.next_step().unwrap().is_some() {}
        assert!(weights(run.policy()) == want, "after {most}");
        assert_eq!((first.served(), second.served()), (most, 3 * 12 - most));
        run.save(&checkpoint, 0).unwrap();
        assert!(!checkpoint.join("completions.json").exists());
    }
}
