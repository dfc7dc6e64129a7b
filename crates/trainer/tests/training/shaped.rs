//! Rewards by token and by step in stages of a policy gradient.
use super::online::{environment, length, prompts};
use super::{model, weights};
use tropism_credit::{Payout, Rto};
use tropism_policy_gradient::{Grpo, PolicyGradient, Ppo};
use tropism_trainer::*;

fn stage(loss: impl Into<PolicyGradient>) -> Stage<PolicyGradientOptions> {
    let mut options = PolicyGradientOptions::new(loss, "length", length());
    (options.rollout.group, options.rollout.max_new_tokens) = (4, 8);
    let mut stage = Stage::of("online", options, 1e-2);
    (stage.batch_size, stage.epochs, stage.max_steps) = (5, 100, Some(4));
    stage
}

fn rto(options: Rto) -> Stage<PolicyGradientOptions> {
    let mut stage = stage(Ppo::default());
    stage.objective.token_rewards = Some(TokenRewardOptions::new("dpo", options));
    stage
}

fn oprl() -> Stage<PolicyGradientOptions> {
    let mut stage = stage(Grpo::default());
    let toml = "learning_rate = 1e-2\nstep_ends = ['c', 'f', 'k']\nloss = { pairing = 'ranked' }";
    stage.objective.process_rewards = Some(toml::from_str(toml).unwrap());
    stage
}

/// With the guide of that seed, where there is one.
fn trained(stage: &Stage<PolicyGradientOptions>, guide: Option<u64>) -> (Vec<f64>, Vec<StepMetrics>) {
    let rows = prompts(13);
    let reference = stage.objective.needs_reference().then(|| model(2));
    let mut run = OnlineRun::new(stage, &rows, model::<f64>(1), reference, environment(), 3).unwrap();
    if let Some(seed) = guide {
        run = run.with_guide(model(seed)).unwrap();
    }
    let mut seen = vec![];
    while let Some(m) = run.next_step().unwrap() {
        seen.push(m);
    }
    (weights(run.policy()), seen)
}

fn figure(m: &StepMetrics, name: &str) -> f64 {
    m.figures.get(name).and_then(serde_json::Value::as_f64).unwrap_or_else(|| panic!("no {name} in {:?}", m.figures.keys()))
}

fn apart(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max)
}

#[test]
fn a_guide_that_is_the_reference_leaves_ppo_with_a_kl_penalty() {
    let mut plain = stage(Ppo::default());
    plain.objective.reward_kl = Some(toml::from_str("coefficient = 0.03").unwrap());
    let (want, _) = trained(&plain, None);
    let options = Rto::default().with_kl_weight(0.03);
    let (same, seen) = trained(&rto(options.clone()), Some(2));
    assert!(apart(&want, &same) < 1e-12, "{}", apart(&want, &same));
    assert!(figure(&seen[0], "token_rewards/sum").abs() < 1e-12 && figure(&seen[0], "token_rewards/clip_ratio") == 0.0);
    let (other, seen) = trained(&rto(options), Some(5));
    assert!(apart(&want, &other) > 1e-4);
    assert!(figure(&seen[0], "token_rewards/sum").abs() > 1e-4 && figure(&seen[0], "token_rewards/clip_ratio") > 0.0);
}

#[test]
fn redistributed_token_rewards_keep_the_total() {
    let total = |payout: Payout| {
        let (_, seen) = trained(&rto(Rto::default().with_payout(payout)), Some(5));
        (figure(&seen[0], "objective/rlhf_reward"), figure(&seen[0], "token_rewards/sum"), figure(&seen[0], "reward"))
    };
    let kl = {
        let (_, seen) = trained(&rto(Rto::default()), Some(5));
        figure(&seen[0], "objective/kl")
    };
    let (rlhf, sum, reward) = total(Payout::Redistributed);
    assert!(sum.abs() < 1e-12 && (rlhf - (reward - 0.01 * kl)).abs() < 1e-9, "{rlhf} {reward} {kl}");
    for payout in [Payout::Tokens, Payout::Sentences, Payout::End] {
        let (rlhf, sum, reward) = total(payout);
        assert!(sum != 0.0 && (rlhf - (reward - 0.01 * kl + sum)).abs() < 1e-9, "{payout:?}");
    }
}

#[test]
fn any_split_into_micro_batches_gives_the_same_update() {
    for (stage, guide) in [(rto(Rto::default()), Some(5)), (oprl(), None)] {
        let (want, a) = trained(&Stage { micro_batch_tokens: 100_000, ..stage.clone() }, guide);
        for tokens in [1, 60] {
            let (split, b) = trained(&Stage { micro_batch_tokens: tokens, ..stage.clone() }, guide);
            assert!(apart(&want, &split) < 1e-9, "{}", apart(&want, &split));
            assert!(a.iter().zip(&b).all(|(x, y)| (x.loss - y.loss).abs() < 1e-9));
        }
    }
}

#[test]
fn a_process_reward_model_starts_without_an_opinion_and_learns() {
    let mut one = oprl();
    let (_, seen) = trained(&one, None);
    // the policy's own log-probabilities come from the sampler, in f32
    assert!((figure(&seen[0], "process/loss") - 2f64.ln()).abs() < 1e-4, "{}", figure(&seen[0], "process/loss"));
    assert!(figure(&seen[0], "process/pairs") > 0.0 && figure(&seen[0], "process/steps") > 1.0);
    // scored after the update, it ranks what it has just seen
    assert!(figure(&seen[0], "process/accuracies") > 0.8, "{}", figure(&seen[0], "process/accuracies"));
    // many updates on one step fit it better
    if let Some(process) = &mut one.objective.process_rewards {
        process.updates = 20;
        process.loss.beta = 1.0;
    }
    one.max_steps = Some(1);
    let (_, seen) = trained(&one, None);
    assert!(figure(&seen[0], "process/loss") < 0.4 && figure(&seen[0], "process/accuracies") > 0.95);
    // no pairs, no update: outcomes of the length reward are never above 0
    let mut none = oprl();
    if let Some(process) = &mut none.objective.process_rewards {
        process.loss = Default::default();
    }
    let (_, seen) = trained(&none, None);
    assert!(figure(&seen[0], "process/pairs") == 0.0 && !seen[0].figures.contains_key("process/loss"));
}

#[test]
fn without_a_step_part_the_advantages_are_the_group_s() {
    let mut alone = oprl();
    if let Some(process) = &mut alone.objective.process_rewards {
        process.advantages.alpha = 0.0;
    }
    let (a, _) = trained(&alone, None);
    let mut plain = stage(Grpo::default());
    // the same estimate, whose epsilon is all that differs
    plain.objective.advantages = Some(toml::from_str("method = 'group_normalized'").unwrap());
    let (b, _) = trained(&plain, None);
    let start = weights(&model::<f64>(1));
    assert!(apart(&a, &b) < 0.1 * apart(&a, &start), "{} {}", apart(&a, &b), apart(&a, &start));
    let (c, _) = trained(&oprl(), None);
    assert!(apart(&a, &c) > 0.1 * apart(&a, &start));
}

/// Runs a stage in one go, or stopped after `stop` steps and restored.
fn bits(stage: &Stage<PolicyGradientOptions>, guide: Option<u64>, stop: Option<usize>) -> (Vec<f32>, Vec<f64>) {
    let (dir, rows) = (tempfile::tempdir().unwrap(), prompts(7));
    let reference = || stage.objective.needs_reference().then(|| model(2));
    let mut losses = vec![];
    let mut run = OnlineRun::new(stage, &rows, model(1), reference(), environment(), 3).unwrap();
    run = match guide {
        Some(seed) => run.with_guide(model(seed)).unwrap(),
        None => run,
    };
    if let Some(stop) = stop {
        (0..stop).for_each(|_| losses.push(run.next_step().unwrap().unwrap().loss));
        run.save(&dir.path().join("c"), 0).unwrap();
        run.next_step().unwrap();
        let (restored, _) = OnlineRun::restore(stage, &rows, reference(), environment(), &dir.path().join("c")).unwrap();
        assert_eq!(restored.done(), stop);
        run = match guide {
            Some(seed) => restored.with_guide(model(seed)).unwrap(),
            None => restored,
        };
    }
    while let Some(m) = run.next_step().unwrap() {
        losses.push(m.loss);
    }
    (weights(run.policy()), losses)
}

#[test]
fn a_restored_run_makes_the_same_bits() {
    for (stage, guide) in [(rto(Rto::default()), Some(5)), (oprl(), None)] {
        let want = bits(&stage, guide, None);
        for stop in [1, 3] {
            assert!(bits(&stage, guide, Some(stop)) == want, "after a stop at {stop}");
        }
    }
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    let refusal = |change: fn(&mut Stage<PolicyGradientOptions>), mut stage: Stage<PolicyGradientOptions>| {
        change(&mut stage);
        stage.check().unwrap_err().to_string()
    };
    let (tokens, steps) = (|| rto(Rto::default()), oprl);
    let kl = |s: &mut Stage<PolicyGradientOptions>| {
        s.objective.reward_kl = Some(toml::from_str("coefficient = 0.1").unwrap());
    };
    assert!(refusal(kl, tokens()).contains("beside reward_kl"));
    assert!(refusal(kl, steps()).contains("makes the advantages"));
    assert!(refusal(|s| s.objective.loss = Grpo::default().into(), tokens()).contains("whole completions"));
    assert!(refusal(|s| s.objective.loss = Ppo::default().into(), steps()).contains("trains a critic"));
    assert!(refusal(|s| s.objective.rollout.group = 1, steps()).contains("`rollout.group`"));
    let bad = |s: &mut Stage<PolicyGradientOptions>| {
        if let Some(p) = &mut s.objective.process_rewards {
            p.updates = 0;
        }
    };
    assert!(refusal(bad, steps()).contains("updates 0"));
    assert!(
        refusal(|s| s.objective.token_rewards.iter_mut().for_each(|t| t.rto.dpo_scale = 0.0), tokens())
            .contains("dpo_scale")
    );
    let rows = prompts(4);
    let stage = tokens();
    let mut run = OnlineRun::new(&stage, &rows, model::<f32>(1), Some(model(2)), environment(), 3).unwrap();
    let e = run.next_step().map(|_| ()).unwrap_err().to_string();
    assert!(e.contains("`token_rewards` needs the model of `dpo`"), "{e}");
    let stage = steps();
    let run = OnlineRun::new(&stage, &rows, model::<f32>(1), Some(model(2)), environment(), 3).unwrap();
    assert!(run.with_guide(model(2)).map(|_| ()).unwrap_err().to_string().contains("token_rewards"));
}

#[test]
fn temperature_counts_for_guide_and_process_reward_model_too() {
    // a guide that is the reference, and a reward model that is the policy, have nothing to say at any temperature
    let mut guided = rto(Rto::default());
    guided.objective.rollout.temperature = 0.7;
    let (_, seen) = trained(&guided, Some(2));
    assert!(figure(&seen[0], "token_rewards/sum").abs() < 1e-9, "{}", figure(&seen[0], "token_rewards/sum"));
    let mut process = oprl();
    process.objective.rollout.temperature = 0.7;
    let (_, seen) = trained(&process, None);
    assert!((figure(&seen[0], "process/loss") - 2f64.ln()).abs() < 1e-4, "{}", figure(&seen[0], "process/loss"));
}

#[test]
fn token_rewards_of_sentences_are_paid_where_sentences_end() {
    // letters never end a sentence: all is paid at the end
    let with = |payout: Payout| trained(&rto(Rto::default().with_payout(payout)), Some(5)).0;
    let (sentences, end) = (with(Payout::Sentences), with(Payout::End));
    assert!(apart(&sentences, &end) < 1e-12, "{}", apart(&sentences, &end));
    assert!(apart(&end, &with(Payout::Tokens)) > 1e-6);
}

#[test]
fn options_of_process_rewards_do_what_they_say() {
    let with = |toml: &str, change: fn(&mut Stage<PolicyGradientOptions>)| {
        let mut stage = Stage { max_steps: Some(1), ..oprl() };
        stage.objective.process_rewards = Some(toml::from_str(&format!("step_ends = ['c', 'f', 'k']\n{toml}")).unwrap());
        change(&mut stage);
        trained(&stage, None)
    };
    let std = |toml: &str| figure(&with(toml, |_| ()).1[0], "process/reward_std");
    let (free, clipped) = ("learning_rate = 0.1\nloss = { pairing = 'ranked' }", "clip = 1e-6\nlearning_rate = 0.1");
    let clipped = format!("{clipped}\nloss = {{ pairing = 'ranked' }}");
    // a step has at most eight tokens
    assert!(std(free) > 1e-3 && std(&clipped) <= 8e-6, "{} {}", std(free), std(&clipped));
    // without a division by their deviation, the size of step rewards counts
    let centred = |normalize: bool| {
        let toml = "learning_rate = 0.1\nloss = { pairing = 'ranked' }\nadvantages = { estimator = 'centered' }";
        with(&format!("normalize = {normalize}\n{toml}"), |_| ()).0
    };
    assert!(apart(&centred(true), &centred(false)) > 1e-5);
    // its learning rate follows the stage's schedule
    let slow = |s: &mut Stage<PolicyGradientOptions>| {
        (s.max_steps, s.warmup_ratio, s.schedule) = (Some(4), 0.5, Schedule::Constant);
    };
    let constant = |s: &mut Stage<PolicyGradientOptions>| (s.warmup_ratio, s.schedule) = (0.0, Schedule::Constant);
    let ranked = "loss = { pairing = 'ranked' }";
    let (_, seen) = with(&format!("learning_rate = 1e-2\n{ranked}"), slow);
    let factor = seen[0].learning_rate / 1e-2;
    assert!(factor > 0.0 && factor < 1.0, "{factor}");
    let (_, same) = with(&format!("learning_rate = {:e}\n{ranked}", 1e-2 * factor), constant);
    let (a, b) = (figure(&seen[0], "process/reward"), figure(&same[0], "process/reward"));
    assert!((a - b).abs() < 1e-12 && a != 0.0, "{a} {b}");
}
