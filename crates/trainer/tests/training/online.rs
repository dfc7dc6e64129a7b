//! Stages that sample: agreement with the sampler, masks, splits, resume, methods, refusals.
use super::{model, weights, word};
use dfdx::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use tropism_data::record::Source;
use tropism_data::tokens::TokenSample;
use tropism_lm::{Batching, Decoder, Loaded, Request, Sampler, Sampling};
use tropism_ops::{LogpsExtras, Segment, Tree, data};
use tropism_policy_gradient::{
    Bnpo, Cispo, Dapo, Disco, DrGrpo, Drpo, Grpo, Gspo, KlPenalty, PolicyGradient, Ppo, ReinforcePlusPlus, Rloo,
    SamplerCorrection,
};
use tropism_rewards::{Reward, RewardError};
use tropism_trainer::*;

pub(super) const STOP: u32 = 1;

pub(super) fn prompts(n: usize) -> Vec<PromptRow> {
    let row = |i: usize| {
        let source = Source::row("prompts.jsonl", i + 1);
        PromptRow::new(source, word(i, 2 + i % 4), format!("prompt {i}"), Some((i % 3).to_string()))
    };
    (0..n).map(row).collect()
}

/// Tokens as letters; the stop token is left out.
pub(super) fn decode(tokens: &[u32]) -> Result<String, String> {
    Ok(tokens.iter().filter(|t| **t != STOP).map(|t| char::from(b'a' + *t as u8)).collect())
}

pub(super) fn environment() -> Environment<'static> {
    Environment::new(&[STOP], &decode)
}

/// Shorter is better.
pub(super) fn length() -> WeightedReward {
    let toml = "function = { type = 'length', unit = 'characters', target = 3, slope = 0.1 }";
    toml::from_str(toml).unwrap()
}

/// A verdict that a random model gets right now and then: whether the letters are exactly this.
fn exact() -> WeightedReward {
    toml::from_str("function = { type = 'exact' }").unwrap()
}

fn stage(loss: impl Into<PolicyGradient>) -> Stage<PolicyGradientOptions> {
    let mut options = PolicyGradientOptions::new(loss, "length", length());
    options.rollout.group = 4;
    options.rollout.max_new_tokens = 8;
    let mut stage = Stage::of("online", options, 1e-2);
    (stage.batch_size, stage.epochs, stage.max_steps) = (5, 100, Some(4));
    stage
}

/// Labels for methods that put right against wrong answers: truths that the model's likeliest answers are.
fn labelled(loss: impl Into<PolicyGradient>) -> (Stage<PolicyGradientOptions>, Vec<PromptRow>) {
    let mut stage = stage(loss);
    stage.objective.rewards = BTreeMap::from([("exact".to_owned(), exact())]);
    stage.objective.rollout.group = 6;
    let mut rows = prompts(13);
    let start: Decoder<Loaded, f64> = model(1);
    for row in &mut rows {
        let sampling = Sampling { max_new_tokens: 8, ..Sampling::default() };
        let answers = Sampler::new(&start, sampling).stop_tokens(&[STOP]).seed(5);
        let answer = &answers.answers(&[Request::new(row.tokens.clone(), 1)]).unwrap()[0][0];
        // one letter is found by chance
        row.truth = decode(&answer.tokens).ok().map(|t| t.chars().take(1).collect::<String>());
    }
    stage.objective.rollout.max_new_tokens = 1;
    (stage, rows)
}

fn trained(stage: &Stage<PolicyGradientOptions>, rows: &[PromptRow]) -> (Vec<f64>, Vec<StepMetrics>) {
    let start = model::<f64>(1);
    let reference = stage.objective.needs_reference().then(|| model(2));
    let mut run = OnlineRun::new(stage, rows, start, reference, environment(), 3).unwrap();
    let mut seen = vec![];
    while let Some(m) = run.next_step().unwrap() {
        seen.push(m);
    }
    (weights(run.policy()), seen)
}

pub(super) fn figure(m: &StepMetrics, name: &str) -> f64 {
    m.figures.get(name).and_then(serde_json::Value::as_f64).unwrap_or_else(|| panic!("no {name} in {:?}", m.figures.keys()))
}

#[test]
fn sampler_and_trainer_agree_on_log_probabilities_for_any_batch() {
    let policy: Decoder<Loaded, f32> = model(7);
    let rows = prompts(6);
    let requests: Vec<Request> = rows.iter().map(|r| Request::new(r.tokens.clone(), 5)).collect();
    for temperature in [1.0, 0.7, 1.6] {
        for slots in [1, 3, 64] {
            let sampling = Sampling { temperature, max_new_tokens: 12, ..Sampling::default() };
            let batching = Batching { slots, ..Batching::default() };
            let sampler = Sampler::new(&policy, sampling).stop_tokens(&[STOP]).batching(batching).seed(4);
            let answers = sampler.answers(&requests).unwrap();
            // in several packings: alone, by group, all together, and in reverse
            let mut flat: Vec<(&PromptRow, &tropism_lm::Answer)> =
                rows.iter().zip(&answers).flat_map(|(r, a)| a.iter().map(move |a| (r, a))).collect();
            for (size, turned) in [(1, false), (5, false), (30, false), (7, true)] {
                if turned {
                    flat.reverse();
                }
                for part in flat.chunks(size) {
                    let sample = |(r, a): &(&PromptRow, &tropism_lm::Answer)| TokenSample {
                        source: r.source.clone(),
                        prompt: r.tokens.clone(),
                        completion: a.tokens.clone(),
                        given: vec![],
                    };
                    let packed = tropism_data::pack::pack_samples(&part.iter().map(sample).collect::<Vec<_>>()).unwrap();
                    let segments = packed.segments.iter().map(|s| Segment { start: s.start, len: s.len, parent: s.parent });
                    let tree = Tree::new(segments.collect()).unwrap();
                    let wide = |ids: &[u32]| ids.iter().map(|&i| i as usize).collect::<Vec<_>>();
                    let states = policy.states(&wide(&packed.tokens), &tree, NoneTape).unwrap();
                    let targets = wide(&packed.targets);
                    let extras = LogpsExtras::default();
                    let found = policy.tempered_logps(states, &packed.sources, &targets, temperature, extras).unwrap();
                    for ((_, answer), range) in part.iter().zip(&packed.sequences) {
                        assert_eq!(range.len(), answer.tokens.len());
                        for (t, own) in data(&found.logps)[range.clone()].iter().zip(&answer.sampling_logps) {
                            assert!((t - own).abs() < 1e-5, "{t} {own}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn any_split_into_micro_batches_gives_the_same_update_and_groups_stay_whole() {
    let kl = KlPenalty::of(0.1);
    let mut many = stage(Dapo::default().with_top_entropy_quantile(0.5).with_entropy_coefficient(0.01));
    (many.objective.iterations, many.objective.mini_batches) = (2, 2);
    let mut ppo = stage(Ppo::default());
    ppo.objective.reward_kl = Some(toml::from_str("coefficient = 0.1").unwrap());
    ppo.objective.iterations = 2;
    let (mut disco, rows) = labelled(Disco::default());
    disco.objective.iterations = 2;
    let stages = [(stage(Grpo::default().with_kl(kl)), prompts(13)), (many, prompts(13)), (ppo, prompts(13)), (disco, rows)];
    for (stage, rows) in stages {
        let whole = Stage { micro_batch_tokens: 100_000, ..stage.clone() };
        let (want, a) = trained(&whole, &rows);
        assert!(want != weights(&model::<f64>(1)), "{} learnt nothing", stage.objective.loss.name());
        for tokens in [1, 60] {
            let (split, b) = trained(&Stage { micro_batch_tokens: tokens, ..stage.clone() }, &rows);
            let worst = want.iter().zip(&split).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
            assert!(worst < 1e-9, "{} at {tokens} tokens: {worst}", stage.objective.loss.name());
            assert!(a.iter().zip(&b).all(|(x, y)| (x.loss - y.loss).abs() < 1e-9));
        }
    }
}

#[test]
fn a_restored_run_goes_on_to_the_same_bits() {
    let rows = prompts(9);
    let mut plain = stage(Grpo::default());
    (plain.objective.iterations, plain.objective.mini_batches) = (2, 3);
    plain.objective.dynamic_sampling = Some(DynamicSampling { max_rounds: 2 });
    let mut ppo = stage(Ppo::default());
    ppo.objective.reward_kl = Some(toml::from_str("coefficient = 0.05").unwrap());
    let shared = Stage { stream: Some("arms".into()), ..plain.clone() };
    for stage in [plain, shared, ppo] {
        let (want, seen) = trained(&stage, &rows);
        let reference = || stage.objective.needs_reference().then(|| model(2));
        for cut in 1..4 {
            let dir = tempfile::tempdir().unwrap();
            let folder = dir.path().join("checkpoint");
            let mut run = OnlineRun::new(&stage, &rows, model::<f64>(1), reference(), environment(), 3).unwrap();
            for _ in 0..cut {
                run.next_step().unwrap().unwrap();
            }
            run.save(&folder, 77).unwrap();
            assert_eq!(checkpointed_stage(&folder).unwrap().as_deref(), Some("online"));
            drop(run);
            let (mut run, bytes) =
                OnlineRun::<Loaded, f64>::restore(&stage, &rows, reference(), environment(), &folder).unwrap();
            assert_eq!((run.done(), bytes), (cut, 77));
            let mut rest = vec![];
            while let Some(m) = run.next_step().unwrap() {
                rest.push(m);
            }
            assert!(weights(run.policy()) == want, "{} after {cut}", stage.objective.loss.name());
            for (mut a, mut b) in rest.into_iter().zip(seen[cut..].iter().cloned()) {
                for m in [&mut a, &mut b] {
                    m.figures.retain(|k, _| !k.starts_with("time/"));
                }
                assert_eq!(a, b);
            }
            let mut other = stage.clone();
            other.objective.rollout.group = 5;
            let refused = OnlineRun::<Loaded, f64>::restore(&other, &rows, reference(), environment(), &folder);
            assert!(refused.err().unwrap().to_string().contains("other options"));
        }
    }
}

#[test]
fn every_method_learns_and_reports_by_trl_s_names() {
    let losses: Vec<PolicyGradient> = vec![
        Grpo::default().into(),
        DrGrpo::default().into(),
        Bnpo::default().into(),
        Dapo::default().into(),
        Gspo::default().into(),
        Cispo::default().into(),
        Rloo::default().into(),
        ReinforcePlusPlus::default().into(),
        Ppo::default().into(),
    ];
    for loss in losses {
        let mut stage = Stage { max_steps: Some(25), ..stage(loss) };
        stage.schedule = Schedule::Constant;
        let (_, seen) = trained(&stage, &prompts(13));
        let mean = |part: &[StepMetrics]| part.iter().map(|m| figure(m, "reward")).sum::<f64>() / part.len() as f64;
        let (first, last) = (mean(&seen[..5]), mean(&seen[20..]));
        assert!(last > first + 0.03, "{}: {first} to {last}", stage.objective.loss.name());
        for name in [
            "reward_std",
            "rewards/length/mean",
            "rewards/length/std",
            "frac_reward_zero_std",
            "completions/mean_length",
            "completions/min_length",
            "completions/max_length",
            "completions/mean_terminated_length",
            "completions/clipped_ratio",
            "completions/duplicate_ratio",
            "entropy",
            "policy/ratio",
            "time/rollout",
            "time/reward",
            "time/update",
        ] {
            assert!(figure(&seen[0], name).is_finite(), "{name}");
        }
    }
    for loss in [PolicyGradient::from(Disco::default()), Drpo::default().with_capacity(8.0).into()] {
        let (stage, rows) = labelled(loss);
        let stage = Stage { max_steps: Some(25), schedule: Schedule::Constant, ..stage };
        let (_, seen) = trained(&stage, &rows);
        let mean = |part: &[StepMetrics]| part.iter().map(|m| figure(m, "reward")).sum::<f64>() / part.len() as f64;
        let (first, last) = (mean(&seen[..5]), mean(&seen[20..]));
        assert!(last > first + 0.03, "{}: {first} to {last}", stage.objective.loss.name());
        assert!(figure(&seen[0], "old_policy_kl").is_finite());
    }
}

#[test]
fn figures_of_rewards_and_filters_are_those_of_their_definitions() {
    let rows = prompts(10);
    let mut all = stage(Grpo::default().with_kl(KlPenalty::none()));
    all.max_steps = Some(1);
    let (_, seen) = trained(&all, &rows);
    assert_eq!(figure(&seen[0], "reward"), figure(&seen[0], "rewards/length/mean"));
    // a reward that is the same for all: no group says anything
    let mut flat = all.clone();
    let format = toml::from_str("function = { type = 'format', sections = ['think'] }").unwrap();
    flat.objective.rewards = BTreeMap::from([("format".to_owned(), format)]);
    let (same, seen) = trained(&flat, &rows);
    assert_eq!((figure(&seen[0], "frac_reward_zero_std"), seen[0].grad_norm), (1.0, 0.0));
    assert!(same == weights(&model::<f64>(1)));
    // dynamic sampling asks for more until it gives up, and the step makes no update
    flat.objective.dynamic_sampling = Some(DynamicSampling { max_rounds: 2 });
    let (same, seen) = trained(&flat, &rows);
    assert_eq!((figure(&seen[0], "dynamic_sampling/rounds"), figure(&seen[0], "dynamic_sampling/dropped")), (2.0, 1.0));
    assert!(same == weights(&model::<f64>(1)) && figure(&seen[0], "updates") == 0.0 && seen[0].epoch == 1.0);
    // truncated completions leave the loss
    let mut cut = all.clone();
    (cut.objective.mask_truncated, cut.objective.rollout.max_new_tokens) = (true, 2);
    let (_, seen) = trained(&cut, &rows);
    assert_eq!(figure(&seen[0], "completions/dropped"), figure(&seen[0], "completions/clipped_ratio"));
    // reward at weight 0 is reported and not learnt from
    let mut beside = all.clone();
    let unread = WeightedReward { weight: 0.0, ..exact() };
    beside.objective.rewards.insert("exact".into(), unread);
    let (with, seen) = trained(&beside, &rows);
    assert!(with == trained(&all, &rows).0 && figure(&seen[0], "rewards/exact/unreadable").is_finite());
}

#[test]
fn the_sampler_s_correction_reads_the_sampler_s_own_log_probabilities() {
    let rows = prompts(10);
    let plain = stage(Dapo::default());
    let corrected = stage(Dapo::default().with_sampler(Some(SamplerCorrection::default())));
    let ((a, _), (b, seen)) = (trained(&plain, &rows), trained(&corrected, &rows));
    // in f64 the two agree to the sampler's f32
    let worst = a.iter().zip(&b).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
    assert!(worst < 1e-4, "{worst}");
    assert!((figure(&seen[0], "sampling/importance_sampling_ratio/mean") - 1.0).abs() < 1e-5);
}

#[test]
fn what_does_not_fit_is_named() {
    let rows = prompts(4);
    let said = |change: &dyn Fn(&mut Stage<PolicyGradientOptions>)| {
        let mut stage = stage(Grpo::default());
        change(&mut stage);
        stage.check_prompts(&rows, &environment()).unwrap_err().to_string()
    };
    assert!(said(&|s| s.objective.rollout.group = 1).contains("`rollout.group` is 1"));
    assert!(said(&|s| s.objective.rollout.temperature = 0.0).contains("`rollout.temperature`"));
    assert!(said(&|s| s.objective.mini_batches = 6).contains("`mini_batches` is 6; a step has 5 groups"));
    assert!(said(&|s| s.objective.rewards.clear()).contains("`rewards`"));
    assert!(said(&|s| s.objective.loss = Disco::default().into()).contains("one verifier with weight 1"));
    assert!(said(&|s| s.objective.advantages = Some(toml::from_str("method = 'gae'").unwrap())).contains("take ppo"));
    let world = toml::from_str("function = { type = 'correct' }").unwrap();
    assert!(
        said(&|s| drop(s.objective.rewards.insert("c".into(), WeightedReward::clone(&world)))).contains("embedded world")
    );
    let numeric: WeightedReward = toml::from_str("function = { type = 'numeric' }").unwrap();
    let mut without = prompts(4);
    without[2].truth = None;
    let mut s = stage(Grpo::default());
    s.objective.rewards.insert("n".into(), numeric);
    let error = s.check_prompts(&without, &environment()).unwrap_err().to_string();
    assert!(error.contains("`n`") && error.contains("prompts.jsonl, row 3") && error.contains("no truth"), "{error}");
    without[2].truth = Some("many".into());
    assert!(s.check_prompts(&without, &environment()).unwrap_err().to_string().contains("many"));
    let mut unread = stage(Dapo::default());
    unread.reference = Some("sft".into());
    assert!(unread.check().unwrap_err().to_string().contains("dapo does not read one"));
}

#[test]
fn stages_of_all_kinds_come_from_one_list_and_go_back() {
    let text = "name = 'g'\nlearning_rate = 1e-4\nreference = 'sft'\n[policy_gradient]\nloss = { method = 'reinforce++' }\n\
                reward_kl = { coefficient = 0.1 }\nrewards.a = { weight = 0.5, function = { type = 'exact' } }";
    let stage: AnyStage = toml::from_str(text).unwrap();
    assert_eq!((stage.method(), stage.reference()), ("reinforce_plus_plus", Some("sft")));
    stage.check().unwrap();
    let back: AnyStage = toml::from_str(&toml::to_string(&stage).unwrap()).unwrap();
    assert_eq!(back, stage);
    let said = |text: &str| toml::from_str::<AnyStage>(text).unwrap_err().to_string();
    assert!(said("name = 'g'\nlearning_rate = 1e-4").contains("missing field `objective`"));
    assert!(said("name = 'g'\nlearning_rate = 1e-4\npolicy = {}").contains("unknown field `policy`"));
    assert!(said(&text.replace("reward_kl", "reward_k")).contains("unknown field `reward_k`"));
    assert!(said(&format!("objective = {{ method = 'sft' }}\n{text}")).contains("of one kind"));
}

/// A world that cannot rate texts of an even length.
struct Picky;

impl Reward for Picky {
    fn name(&self) -> &str {
        "picky"
    }

    fn score(&self, _: &str, completion: &str, _: Option<&str>) -> Result<Option<f64>, RewardError> {
        if completion.len().is_multiple_of(2) {
            return Err(RewardError::NoParts { reward: "picky".into() });
        }
        Ok(Some(-(completion.len() as f64)))
    }
}

#[test]
fn rewards_that_fail_are_counted_left_out_and_bounded() {
    let world: Arc<dyn Reward> = Arc::new(Picky);
    let environment = Environment { world: Some(&world), ..environment() };
    let rows = prompts(10);
    let mut stage = stage(Dapo::default());
    stage.objective.rewards = BTreeMap::from([
        ("length".to_owned(), length()),
        ("picky".to_owned(), toml::from_str("function = { type = 'world' }").unwrap()),
    ]);
    stage.max_steps = Some(2);
    let trained = |stage: &Stage<PolicyGradientOptions>| {
        let mut run = OnlineRun::new(stage, &rows, model::<f64>(1), None, environment, 3).unwrap();
        let first = run.next_step().map_err(|e| e.to_string())?.unwrap();
        run.next_step().map_err(|e| e.to_string())?;
        Ok::<_, String>((first, weights(run.policy())))
    };
    stage.objective.rollout.rating.max_failed = 1.0;
    let (m, want) = trained(&stage).unwrap();
    let failed = figure(&m, "rewards/picky/failed");
    assert!(failed > 0.0 && failed < 1.0 && figure(&m, "rewards/picky/timed_out") == 0.0, "{failed}");
    assert_eq!((figure(&m, "completions/dropped"), figure(&m, "rewards/length/failed")), (failed, 0.0));
    // how many threads rate changes nothing
    stage.objective.rollout.rating.threads = 7;
    assert!(trained(&stage).unwrap().1 == want);
    // at weight 0 a failure costs nothing
    stage.objective.rewards.get_mut("picky").unwrap().weight = 0.0;
    assert_eq!(figure(&trained(&stage).unwrap().0, "completions/dropped"), 0.0);
    stage.objective.rollout.rating.max_failed = 0.0;
    let said = trained(&stage).unwrap_err();
    assert!(
        said.contains("prompts.jsonl, row") && said.contains("`picky` has no result for") && said.contains("max_failed"),
        "{said}"
    );
}

#[test]
fn stop_strings_end_completions_and_rewards_do_not_see_them() {
    let rows = prompts(8);
    let mut stage = stage(Dapo::default());
    stage.max_steps = Some(1);
    let (_, free) = trained(&stage, &rows);
    stage.objective.rollout.stop = vec!["b".into(), "gh".into(), "d".into(), "k".into()];
    let (_, cut) = trained(&stage, &rows);
    let mean = |m: &[StepMetrics]| figure(&m[0], "completions/mean_length");
    assert!(mean(&cut) < mean(&free) - 0.5, "{} {}", mean(&cut), mean(&free));
    assert!(figure(&cut[0], "completions/clipped_ratio") < figure(&free[0], "completions/clipped_ratio"));
    // "d" ends a completion and is not part of the text that is rated
    let truths: Vec<PromptRow> = rows.iter().map(|r| PromptRow { truth: Some("d".into()), ..r.clone() }).collect();
    stage.objective.rewards = BTreeMap::from([("length".into(), length()), ("exact".into(), exact())]);
    stage.objective.rollout.max_new_tokens = 1;
    assert_eq!(figure(&trained(&stage, &truths).1[0], "rewards/exact/mean"), 0.0);
    stage.objective.rollout.stop.clear();
    stage.objective.rollout.group = 60;
    assert!(figure(&trained(&stage, &truths).1[0], "rewards/exact/mean") > 0.0);
    stage.objective.rollout.stop = vec![String::new()];
    assert!(stage.check().unwrap_err().to_string().contains("`rollout.stop` holds an empty text"));
}
