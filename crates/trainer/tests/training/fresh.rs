//! Stages that make their rows of their own completions: learning, resume, refusals.
use super::online::{STOP, environment, length, prompts};
use super::{model, weights, word};
use tropism_data::stream::Stream;
use tropism_lm::{Config, Decoder, Loaded, LoraConfig, Request, Sampler, Sampling, Sizes, Targets};
use tropism_objectives::{Dno, Dpo, Kto, MahDpo, Objective, Selm, Sft, Srpo, Tpo, Xpo};
use tropism_trainer::*;

fn stage(objective: impl Into<Objective>) -> Stage<FreshOptions> {
    let mut options = FreshOptions::new(objective.into(), "length", length());
    (options.rollout.group, options.rollout.max_new_tokens) = (4, 8);
    let mut stage = Stage::of("fresh", options, 1e-2);
    (stage.batch_size, stage.epochs, stage.max_steps) = (6, 100, Some(4));
    stage
}

fn trained(stage: &Stage<FreshOptions>, n: usize) -> (Vec<f64>, Vec<StepMetrics>) {
    trained_on(stage, &prompts(n), &model(1))
}

fn trained_on(
    stage: &Stage<FreshOptions>,
    rows: &[PromptRow],
    start: &Decoder<Loaded, f64>,
) -> (Vec<f64>, Vec<StepMetrics>) {
    let reference = stage.objective.needs_reference().then(|| start.clone());
    let mut run = FreshRun::new(stage, rows, start.clone(), reference, environment(), 3).unwrap();
    let mut seen = vec![];
    while let Some(m) = run.next_step().unwrap() {
        seen.push(m);
    }
    (weights(run.policy()), seen)
}

#[test]
fn every_kind_of_row_teaches_what_the_reward_asks_for() {
    let figure = |m: &StepMetrics, name: &str| m.figures[name].as_f64().unwrap();
    let losses: Vec<Objective> = vec![
        Dpo::default().into(),
        Dno::default().into(),
        Xpo::default().into(),
        Selm::default().with_beta(0.1).into(),
        MahDpo::default().into(),
        Kto::default().into(),
        Sft::default().into(),
    ];
    for loss in losses {
        let mut stage = Stage { max_steps: Some(25), schedule: Schedule::Constant, ..stage(loss) };
        stage.objective.reference_every = if stage.objective.needs_reference() { 10 } else { 0 };
        let (_, seen) = trained(&stage, 13);
        let mean = |part: &[StepMetrics]| part.iter().map(|m| figure(m, "reward")).sum::<f64>() / part.len() as f64;
        let (first, last) = (mean(&seen[..5]), mean(&seen[20..]));
        assert!(last > first + 0.03, "{}: {first} to {last}", stage.objective.objective.name());
        for name in ["rows", "rewards/length/mean", "completions/mean_length", "time/rollout", "time/update"] {
            assert!(figure(&seen[0], name).is_finite(), "{name}");
        }
    }
}

/// What a run of four steps, cut after each, makes of the start: the same bits.
fn comes_back(stage: &Stage<FreshOptions>, rows: &[PromptRow], start: &Decoder<Loaded, f64>) {
    let reference = || stage.objective.needs_reference().then(|| start.clone());
    let (want, seen) = trained_on(stage, rows, start);
    assert_eq!(seen.len(), 4);
    for cut in 1..4 {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("checkpoint");
        let mut run = FreshRun::new(stage, rows, start.clone(), reference(), environment(), 3).unwrap();
        for _ in 0..cut {
            run.next_step().unwrap().unwrap();
        }
        run.save(&folder, 5).unwrap();
        let (mut run, bytes) = FreshRun::<Loaded, f64>::restore(stage, rows, reference(), environment(), &folder).unwrap();
        assert_eq!((run.done(), bytes), (cut, 5));
        let mut rest = vec![];
        while let Some(m) = run.next_step().unwrap() {
            rest.push(m);
        }
        assert!(weights(run.policy()) == want, "after {cut}");
        for (mut a, mut b) in rest.into_iter().zip(seen[cut..].iter().cloned()) {
            for m in [&mut a, &mut b] {
                m.figures.retain(|k, _| !k.starts_with("time/"));
            }
            assert_eq!(a, b);
        }
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let said = |stage: Stage<FreshOptions>| stage.check().unwrap_err().to_string();
    assert!(said(stage(Tpo::default())).contains("`objective` is tpo"));
    assert!(said(stage(Srpo::default())).contains("`objective` is srpo"));
    let with = |objective: Objective, change: fn(&mut FreshOptions)| {
        let mut stage = stage(objective);
        change(&mut stage.objective);
        said(stage)
    };
    assert!(with(Xpo::default().into(), |o| o.data_completions = true).contains("`data_completions` is set, but xpo"));
    assert!(with(Xpo::default().into(), |o| o.pairs.choose = Choose::All).contains("`pairs` is set, but rows of xpo"));
    assert!(with(Selm::default().into(), |o| o.pairs.choose = Choose::All).contains("`pairs` is set, but rows of selm"));
    assert!(with(Kto::default().into(), |o| o.pairs.margin = 0.1).contains("`pairs` is set, but rows of kto"));
    assert!(with(Dpo::default().into(), |o| o.pairs.margin = f64::NAN).contains("`pairs.margin` is NaN"));
    assert!(with(Dpo::default().into(), |o| o.pairs.margin = -1.0).contains("`pairs.margin` is -1"));
    let mut heads = stage(MahDpo::default());
    heads.objective.heads = Some(HeadOptions::default());
    heads.check().unwrap();
    heads.freeze = vec!["*norm*".into()];
    assert!(said(heads.clone()).contains("`freeze` is set beside `heads`"));
    heads.freeze.clear();
    heads.lora = Some(LoraConfig::new(1, 1.0, Targets::AllLinear));
    assert!(said(heads).contains("`lora` is set beside `heads`"));
    let judged = with(Xpo::default().into(), |o| {
        o.rewards = [("judge".to_owned(), toml::from_str("function = { type = 'circle' }").unwrap())].into();
    });
    assert!(judged.contains("`rewards` has a judge"), "{judged}");
    let mut given = stage(Selm::default());
    given.objective.data_completions = true;
    given.objective.rollout.group = 1;
    given.check().unwrap();
    let bare = given.check_prompts(&prompts(3), &environment()).unwrap_err().to_string();
    assert!(
        bare.contains("`data_completions` is set, but the data have no completions for the prompt of prompts.jsonl, row 1"),
        "{bare}"
    );
    // two aspects of six prompts of at most three tokens, each a pair of at most 16
    let mut coupled = stage(MahDpo::default());
    opposed(&mut coupled);
    let longest = prompts(13).iter().map(|p| p.tokens.len()).max().unwrap();
    coupled.micro_batch_tokens = 12 * (longest + 16);
    coupled.check_prompts(&prompts(13), &environment()).unwrap();
    coupled.micro_batch_tokens -= 1;
    let small = coupled.check_prompts(&prompts(13), &environment()).unwrap_err().to_string();
    let parts = ["mah_dpo compares its rows".to_owned(), format!("set it to {},", 12 * (longest + 16))];
    parts.iter().for_each(|p| assert!(small.contains(p), "{small}"));
    for text in ["online_preference.data_stage = 1", "data_stage = 1"] {
        let stage = format!(
            "name = 'f'\nlearning_rate = 1e-4\n{text}\nonline_preference.objective = {{ method = 'dpo' }}\n\
             online_preference.rewards.a = {{ function = {{ type = 'exact' }} }}"
        );
        let found =
            toml::from_str::<AnyStage>(&stage).map_err(|e| e.to_string()).and_then(|s| s.check().map_err(|e| e.to_string()));
        assert!(found.unwrap_err().contains("data_stage"), "{text}");
    }
    let replayed = |objective: Objective, replay: ReplayOptions| {
        let mut stage = stage(objective);
        stage.objective.replay = Some(replay);
        said(stage)
    };
    let usual = ReplayOptions::default();
    assert!(replayed(Dno::default().into(), usual).contains("dno reads `win_rate/chosen`, which is against the present"));
    for objective in [Objective::from(Xpo::default()), Kto::default().into(), Selm::default().into(), Sft::default().into()]
    {
        assert!(replayed(objective, usual).contains("`replay` is set, but"));
    }
    let dpo = || Objective::from(Dpo::default());
    assert!(replayed(dpo(), ReplayOptions { rounds: 0, ..usual }).contains("`replay` has rounds 0"));
    assert!(replayed(dpo(), ReplayOptions { share: 1.1, ..usual }).contains("`replay` has share 1.1"));
    assert!(replayed(dpo(), ReplayOptions { decay: f64::NAN, ..usual }).contains("`replay` has decay NaN"));
    let mut alone = stage(Dpo::default());
    alone.objective.rollout.group = 1;
    assert!(said(alone).contains("`rollout.group` is 1"));
    let mut best = stage(Sft::default());
    best.objective.best = 5;
    assert!(said(best).contains("`best` is 5"));
    let mut moving = stage(Sft::default());
    moving.objective.reference_every = 3;
    assert!(said(moving).contains("`reference_every`"));
    let kind = |key: &str, method: &str| {
        let text = format!(
            "name = 'f'\nlearning_rate = 1e-4\n[{key}]\nobjective = {{ method = '{method}' }}\n\
             rewards.a = {{ function = {{ type = 'exact' }} }}"
        );
        toml::from_str::<AnyStage>(&text).unwrap()
    };
    kind("online_preference", "dpo").check().unwrap();
    kind("rejection_sampling", "sft").check().unwrap();
    assert!(kind("online_preference", "sft").check().unwrap_err().to_string().contains("call it rejection_sampling"));
    assert!(kind("rejection_sampling", "dpo").check().unwrap_err().to_string().contains("call it online_preference"));
    for stage in [kind("online_preference", "kto"), kind("rejection_sampling", "sft")] {
        let back: AnyStage = toml::from_str(&toml::to_string(&stage).unwrap()).unwrap();
        assert_eq!(back, stage);
    }
}

/// A model whose output projection is its own.
fn untied() -> Decoder<Loaded, f64> {
    let sizes = Sizes { vocab: 24, hidden: 8, ff: 12, layers: 2, heads: 2, kv_heads: 1, head_dim: 4, positions: 64 };
    let config = Config::new(sizes, false).unwrap().with_initializer_range(0.3);
    Decoder::random(Loaded::new(config), 1).unwrap()
}

/// Two rewards that want the opposite.
fn opposed(stage: &mut Stage<FreshOptions>) {
    let other = WeightedReward { weight: -1.0, ..length() };
    stage.objective.rewards.insert("short".into(), other);
}

/// Prompts with two completions each.
fn given(n: usize) -> Vec<PromptRow> {
    let with = |(i, p): (usize, PromptRow)| PromptRow { given: vec![word(i + 1, 3), word(i + 2, 5)], ..p };
    prompts(n).into_iter().enumerate().map(with).collect()
}

#[test]
fn a_restored_run_goes_on_to_the_same_bits() {
    let mut moving = stage(Dpo::default());
    moving.objective.reference_every = 2;
    comes_back(&moving, &prompts(13), &model(1));
    moving.objective.pairs.choose = Choose::All;
    moving.objective.replay = Some(ReplayOptions { share: 0.9, ..ReplayOptions::default() });
    for stream in [None, Some("arms".to_owned())] {
        comes_back(&Stage { stream, ..moving.clone() }, &prompts(13), &model(1));
    }
    comes_back(&stage(Sft::default()), &prompts(13), &model(1));
    let mut ranked = stage(Selm::default().with_alpha(0.1));
    (ranked.objective.data_completions, ranked.objective.reference_every) = (true, 3);
    comes_back(&ranked, &given(13), &model(1));
    let mut heads = stage(MahDpo::default());
    opposed(&mut heads);
    heads.objective.heads = Some(HeadOptions { noise: 0.01 });
    comes_back(&heads, &prompts(13), &untied());
}

/// Rewards of each step's samples, of a policy that hardly learns.
fn drawn(stage: &Stage<FreshOptions>, name: &str, stream: Option<&str>) -> Vec<f64> {
    let (name, stream) = (name.to_owned(), stream.map(str::to_owned));
    let stage = Stage { name, stream, learning_rate: 1e-300, ..stage.clone() };
    trained(&stage, 13).1.iter().map(|m| m.figures["reward"].as_f64().unwrap()).collect()
}

#[test]
fn arms_of_one_stream_draw_the_same_in_each_step_and_others_do_not() {
    let dpo = stage(Dpo::default());
    // draws from the reference too, once more in each step
    let xpo = stage(Xpo::default());
    let own = drawn(&dpo, "a", None);
    assert!(own != drawn(&dpo, "b", None));
    assert_eq!(own, drawn(&dpo, "a", None));
    let shared = drawn(&dpo, "a", Some("arms"));
    assert_eq!(shared, drawn(&xpo, "b", Some("arms")));
    assert!(shared != drawn(&xpo, "b", Some("others")) && shared != own);
    let mut several = shared.clone();
    several.dedup();
    assert_eq!(several.len(), 4, "each step has draws of its own");
    let rows: AnyStage = Stage { stream: Some("arms".into()), ..Stage::new("s", Dpo::default().into(), 1e-3) }.into();
    assert!(rows.check().unwrap_err().to_string().contains("`stream` is set, but the stage does not sample"));
    let empty = Stage { stream: Some(String::new()), ..dpo };
    assert!(empty.check().unwrap_err().to_string().contains("`stream` is empty"));
}

#[test]
fn replayed_pairs_join_updates_and_are_counted() {
    let mut plain = stage(Dpo::default());
    plain.objective.pairs.choose = Choose::All;
    let mut replayed = plain.clone();
    replayed.objective.replay = Some(ReplayOptions { share: 0.5, ..ReplayOptions::default() });
    let (want, a) = trained(&plain, 13);
    let (found, b) = trained(&replayed, 13);
    assert!(want != found);
    let figure = |m: &StepMetrics, name: &str| m.figures[name].as_f64().unwrap();
    // the first step has nothing to replay; the second begins as without
    assert_eq!((a[0].loss, a[0].num_tokens), (b[0].loss, b[0].num_tokens));
    assert_eq!((figure(&a[1], "rows"), figure(&a[1], "reward")), (figure(&b[1], "rows"), figure(&b[1], "reward")));
    let new: Vec<f64> = b.iter().map(|m| figure(m, "rows")).collect();
    let old: Vec<f64> = b.iter().map(|m| figure(m, "replay/rows")).collect();
    let quota = |i: usize, back: usize| (0.5 * new[i] * 0.5f64.powi(back as i32)).floor().min(new[i - 1 - back]);
    assert_eq!(old, [0.0, quota(1, 0), quota(2, 0) + quota(2, 1), quota(3, 0) + quota(3, 1)]);
    assert!(old[3] > 0.0 && b[1].num_tokens > a[1].num_tokens);
    assert_eq!(figure(&b[3], "replay/kept"), new[1] + new[2]);
    assert!((figure(&b[3], "replay/share") - old[3] / (new[3] + old[3])).abs() < 1e-12);
    assert!(!a[3].figures.contains_key("replay/rows"));
}

#[test]
fn heads_begin_as_the_model_and_part_for_opposed_rewards() {
    let mut one = Stage { max_steps: Some(20), schedule: Schedule::Constant, ..stage(MahDpo::default()) };
    opposed(&mut one);
    let mut several = one.clone();
    several.objective.heads = Some(HeadOptions { noise: 0.0 });
    let rows = prompts(13);
    let first = |stage: &Stage<FreshOptions>| trained_on(stage, &rows, &untied()).1[0].loss;
    let (a, b) = (first(&one), first(&several));
    assert!((a - b).abs() < 1e-12 && (a - 2f64.ln()).abs() < 1e-12, "{a} {b}");
    let mut run = FreshRun::new(&several, &rows, untied(), Some(untied()), environment(), 3).unwrap();
    while run.next_step().unwrap().is_some() {}
    let heads = run.heads().unwrap();
    let tokens = |weights: [f64; 2]| {
        let model = heads.mixed(&weights).unwrap();
        let sampler =
            Sampler::new(&model, Sampling { max_new_tokens: 8, ..Sampling::default() }).stop_tokens(&[STOP]).seed(9);
        let requests: Vec<Request> = rows.iter().map(|r| Request::new(r.tokens.clone(), 8)).collect();
        let answers = sampler.answers(&requests).unwrap();
        answers.iter().flatten().map(|a| a.tokens.len() as f64).sum::<f64>() / 104.0
    };
    let (left, even, right) = (tokens([1.0, 0.0]), tokens([1.0, 1.0]), tokens([0.0, 1.0]));
    assert!((left - right).abs() > 0.5, "{left} {even} {right}");
    assert!(even > left.min(right) && even < left.max(right), "{left} {even} {right}");
}

#[test]
fn a_prompt_s_own_weights_turn_the_reward_round() {
    let rows =
        |weight: f64| prompts(13).into_iter().map(move |p| PromptRow { weights: vec![weight], ..p }).collect::<Vec<_>>();
    let reward = |m: &StepMetrics| m.figures["reward"].as_f64().unwrap();
    let stage = Stage { max_steps: Some(25), schedule: Schedule::Constant, ..stage(Sft::default()) };
    let plain = trained(&stage, 13).1;
    let same = trained_on(&stage, &rows(1.0), &model(1)).1;
    let turned = trained_on(&stage, &rows(-1.0), &model(1)).1;
    assert_eq!(reward(&plain[0]), reward(&same[0]));
    assert_eq!(reward(&plain[0]), -reward(&turned[0]));
    let length = |seen: &[StepMetrics]| {
        let of = |m: &StepMetrics| m.figures["completions/mean_length"].as_f64().unwrap();
        seen[20..].iter().map(of).sum::<f64>() / 5.0
    };
    assert_eq!(length(&plain), length(&same));
    assert!(length(&turned) > length(&plain) + 0.5, "{} {}", length(&turned), length(&plain));
}

#[test]
fn log_probabilities_are_those_of_the_sampled_tokens_and_no_others() {
    let mut stage = stage(Dpo::default());
    stage.objective.rollout.group = 2;
    let rows = prompts(1);
    // the first seeds under which the two completions differ in reward
    let found = (0..20).find_map(|seed| {
        let start = model::<f64>(1);
        let mut run = FreshRun::new(&stage, &rows, start.clone(), Some(start.clone()), environment(), seed).unwrap();
        let m = run.next_step().unwrap().unwrap();
        (m.figures["rows"] == 1).then_some((seed, m))
    });
    let (seed, m) = found.unwrap();
    let bits = Stream::new(seed, "fresh/rollouts").bits();
    let start = model::<f64>(1);
    let sampler =
        Sampler::new(&start, Sampling { max_new_tokens: 8, ..Sampling::default() }).stop_tokens(&[STOP]).seed(bits);
    let answers = sampler.answers(&[Request { stream: Some(0), ..Request::new(rows[0].tokens.clone(), 2) }]).unwrap();
    let mut sums: Vec<f64> = answers[0].iter().map(|a| a.model_logps.iter().map(|l| f64::from(*l)).sum()).collect();
    let mut logged = ["logps/chosen", "logps/rejected"].map(|n| m.figures[n].as_f64().unwrap());
    sums.sort_by(f64::total_cmp);
    logged.sort_by(f64::total_cmp);
    assert!(sums.iter().zip(logged).all(|(a, b)| (a - b).abs() < 1e-4), "{sums:?} {logged:?}");
}

#[test]
fn groups_without_a_difference_are_counted_and_teach_nothing() {
    let figure = |m: &StepMetrics, name: &str| m.figures[name].as_f64().unwrap();
    let flat: Vec<PromptRow> = prompts(5).into_iter().map(|p| PromptRow { weights: vec![0.0], ..p }).collect();
    for objective in [Objective::from(Dpo::default()), Kto::default().into(), Xpo::default().into(), Selm::default().into()]
    {
        let (after, seen) = trained_on(&stage(objective), &flat, &model(1));
        assert!(after == weights(&model::<f64>(1)));
        assert!(seen.iter().all(|m| figure(m, "rows") == 0.0 && figure(m, "frac_reward_zero_std") == 1.0 && m.loss == 0.0));
    }
    // one prompt is enough to compare its own completions, and none for a baseline of others
    assert!(trained(&stage(Dpo::default()), 1).0 != weights(&model::<f64>(1)));
    assert!(trained(&stage(Kto::default()), 1).0 == weights(&model::<f64>(1)));
    let alone = stage(Sft::default());
    let none = FreshRun::new(&alone, &[], model::<f64>(1), None, environment(), 3);
    assert!(none.err().unwrap().to_string().contains("no prompts"));
}

#[test]
fn the_policy_s_own_reward_is_its_log_ratio_to_the_reference() {
    let own = |per_token: bool| -> WeightedReward {
        toml::from_str(&format!("function = {{ type = 'implicit', per_token = {per_token} }}")).unwrap()
    };
    let mut stage = stage(Dpo::default());
    stage.max_steps = Some(1);
    stage.objective.rewards = [("own".to_owned(), own(false)), ("each".to_owned(), own(true))].into();
    let (rows, start, other) = (prompts(4), model::<f64>(1), model::<f64>(2));
    let mut run = FreshRun::new(&stage, &rows, start.clone(), Some(other.clone()), environment(), 3).unwrap();
    let m = run.next_step().unwrap().unwrap();
    let figure = |name: &str| m.figures[name].as_f64().unwrap();
    // the same completions by hand; the order of the prompts is the run's
    let order = tropism_data::order::Order::new(4, 3, true).unwrap().batch(6);
    let sampler = Sampler::new(&start, Sampling { max_new_tokens: 8, ..Sampling::default() })
        .stop_tokens(&[STOP])
        .seed(Stream::new(3, "fresh/rollouts").bits());
    let request = |(i, &r): (usize, &usize)| Request { stream: Some(i as u32), ..Request::new(rows[r].tokens.clone(), 4) };
    let requests: Vec<Request> = order.iter().enumerate().map(request).collect();
    let answers = sampler.answers(&requests).unwrap();
    let sample = |(r, a): (&usize, &tropism_lm::Answer)| tropism_data::tokens::TokenSample {
        source: rows[*r].source.clone(),
        prompt: rows[*r].tokens.clone(),
        completion: a.tokens.clone(),
        given: vec![],
    };
    let samples: Vec<_> = order.iter().zip(&answers).flat_map(|(r, a)| a.iter().map(move |a| (r, a))).map(sample).collect();
    let scores = [&start, &other].map(|m| score_samples(m, &samples, 4096).unwrap());
    let ratios = || scores[0].iter().zip(&scores[1]).map(|(a, b)| (a.logps - b.logps, a.tokens as f64));
    let n = samples.len() as f64;
    let (sum, each) = (ratios().map(|(r, _)| r).sum::<f64>() / n, ratios().map(|(r, t)| r / t).sum::<f64>() / n);
    assert!((figure("rewards/own/mean") - sum).abs() < 1e-9 && (figure("rewards/each/mean") - each).abs() < 1e-9);
    // a policy gradient cannot ask for it
    let text = "name = 'p'\nlearning_rate = 1e-4\npolicy_gradient.loss = { method = 'grpo' }\n\
                policy_gradient.rewards.own.function.type = 'implicit'";
    let found = toml::from_str::<AnyStage>(text).unwrap().check().unwrap_err().to_string();
    assert!(found.contains("`own` of the policy's own"), "{found}");
}

#[test]
fn a_reference_that_was_an_adapter_comes_back() {
    let mut moving = stage(Dpo::default());
    (moving.objective.reference_every, moving.lora) = (2, Some(super::lora()));
    comes_back(&moving, &prompts(13), &model(1));
}
