//! Rollouts of several turns: what is learnt from and what is only read, credit by turn, splits, resume, a server, refusals.
use super::online::{STOP, decode, figure, prompts};
use super::{model, weights};
use std::collections::BTreeMap;
use std::sync::Arc;
use tropism_lm::{Decoder, Loaded};
use tropism_objectives::{Dpo, Kto, Selm, Sft, Xpo};
use tropism_policy_gradient::{Gae, Grpo, KlPenalty, PolicyGradient, Ppo, ReinforcePlusPlus, TurnMixture};
use tropism_rewards::{Episodes, Reward, RewardError, Verdict};
use tropism_trainer::*;

/// Says the number of turns until one of them holds a `c`, three times at most; right is who says an `e` somewhere.
struct Counting {
    turn_rewards: bool,
}

impl Episodes for Counting {
    fn observe(&self, prompt: &str, turns: &[String]) -> Result<Option<String>, RewardError> {
        if !prompt.starts_with("prompt") {
            return Err(RewardError::UnknownPrompt { reward: "counting".into(), prompt: prompt.into() });
        }
        let over = turns.len() > 3 || turns.iter().any(|t| t.contains('c'));
        Ok((!over).then(|| "x".repeat(turns.len())))
    }

    fn verdict(&self, _: &str, turns: &[String]) -> Result<Verdict, RewardError> {
        Ok(if turns.iter().any(|t| t.contains('e')) { Verdict::Correct } else { Verdict::Wrong })
    }

    fn score(&self, _: &str, turns: &[String]) -> Result<Option<f64>, RewardError> {
        Ok(Some(turns.iter().map(String::len).sum::<usize>() as f64 / 10.0))
    }

    fn aspects(&self) -> &[&str] {
        &["turns"]
    }

    fn aspect(&self, _: &str, _: &str, turns: &[String]) -> Result<Option<f64>, RewardError> {
        Ok(Some(turns.len() as f64))
    }

    fn turn_rewards(&self, _: &str, turns: &[String]) -> Result<Option<Vec<f64>>, RewardError> {
        Ok(self.turn_rewards.then(|| turns.iter().map(|t| t.len() as f64 / 7.0).collect()))
    }
}

impl Reward for Counting {
    fn name(&self) -> &str {
        "counting"
    }

    fn score(&self, _: &str, _: &str, _: Option<&str>) -> Result<Option<f64>, RewardError> {
        Err(RewardError::NoScore { reward: "counting".into() })
    }

    fn aspects(&self) -> &[&str] {
        Episodes::aspects(self)
    }

    fn episodes(&self) -> Option<&dyn Episodes> {
        Some(self)
    }
}

/// As a template would: the turn's end where it is missing, what is said, the opening of the next turn.
fn between(text: &str, last: Option<u32>) -> Result<Vec<u32>, String> {
    let end = if last == Some(STOP) { vec![] } else { vec![STOP] };
    Ok([end, vec![20; text.len()], vec![21]].concat())
}

fn with_world<T>(turn_rewards: bool, f: impl FnOnce(&Environment) -> T) -> T {
    let world: Arc<dyn Reward> = Arc::new(Counting { turn_rewards });
    let plain = Environment::new(&[STOP], &decode);
    f(&Environment { world: Some(&world), between: Some(&between), ..plain })
}

fn stage(loss: impl Into<PolicyGradient>, advantages: Option<AdvantageOptions>) -> Stage<PolicyGradientOptions> {
    let reward = |toml: &str| toml::from_str::<WeightedReward>(toml).unwrap();
    let mut options = PolicyGradientOptions::new(loss, "world", reward("function = { type = 'world' }"));
    options.rewards.insert("correct".into(), reward("weight = 0.5\nfunction = { type = 'correct' }"));
    options.rewards.insert("turns".into(), reward("weight = 0.0\nfunction = { type = 'aspect', aspect = 'turns' }"));
    options.rollout = RolloutOptions { group: 4, max_new_tokens: 44, turn_tokens: Some(12), ..RolloutOptions::default() };
    options.advantages = advantages;
    let mut stage = Stage::of("agents", options, 1e-2);
    (stage.batch_size, stage.epochs, stage.max_steps) = (5, 100, Some(3));
    stage
}

/// A group's outcome, the mixture by turn, rewards of turns by token with and without a critic, steps by a reward model.
fn stages() -> Vec<Stage<PolicyGradientOptions>> {
    let grpo = || Grpo::default().with_kl(KlPenalty::of(0.1));
    let mut ppo = stage(Ppo::default(), Some(AdvantageOptions::Gae(Gae::default())));
    let mut reinforce = stage(ReinforcePlusPlus::default(), None);
    (ppo.objective.turn_rewards, reinforce.objective.turn_rewards) = (Some(0.6), Some(-0.3));
    let mut process = stage(grpo(), None);
    process.objective.process_rewards = Some(ProcessRewardOptions { learning_rate: 1e-3, ..Default::default() });
    let mut strings = stage(grpo(), None);
    strings.objective.rollout.stop = vec!["d".into()];
    let mixed = stage(grpo(), Some(AdvantageOptions::TurnMixture(TurnMixture::default())));
    vec![stage(grpo(), None), mixed, ppo, reinforce, process, strings]
}

fn trained(stage: &Stage<PolicyGradientOptions>) -> (Vec<f64>, Vec<StepMetrics>) {
    with_world(true, |environment| {
        let rows = prompts(13);
        let reference = stage.objective.needs_reference().then(|| model(2));
        let mut run = OnlineRun::new(stage, &rows, model::<f64>(1), reference, *environment, 3).unwrap();
        let mut seen = vec![];
        while let Some(m) = run.next_step().unwrap() {
            seen.push(m);
        }
        (weights(run.policy()), seen)
    })
}

#[test]
fn what_the_world_says_is_read_and_not_learnt_from() {
    for stage in stages() {
        let (_, seen) = trained(&stage);
        for m in &seen {
            let (turns, given) = (figure(m, "episodes/mean_turns"), figure(m, "episodes/mean_given_length"));
            assert!(
                turns > 1.0 && turns <= 4.0 && given >= 2.0 * (turns - 1.0) - 1e-9,
                "{turns} turns, {given} tokens of the world"
            );
            assert!((figure(m, "rewards/turns/mean") - turns).abs() < 1e-12);
            // the world's score is a tenth of the letters that were said; a letter or a stop token is a token
            let (said, length) = (10.0 * figure(m, "rewards/world/mean"), figure(m, "completions/mean_length"));
            assert!(said < length + 1e-9 && length < said + turns + 1e-9, "{said} letters, {length} tokens");
        }
    }
}

#[test]
fn sampler_and_trainer_agree_on_what_was_said_after_replies() {
    // a critic makes the trainer score every episode itself
    let (_, seen) = trained(&stage(Ppo::default(), None));
    assert!(seen.iter().all(|m| figure(m, "sampling/sampling_logp_difference/max") < 1e-5));
    assert!(seen.iter().map(|m| figure(m, "episodes/mean_turns")).sum::<f64>() > 3.3);
}

#[test]
fn any_split_of_episodes_gives_the_same_update() {
    for stage in stages() {
        let (want, a) = trained(&Stage { micro_batch_tokens: 100_000, ..stage.clone() });
        assert!(want != weights(&model::<f64>(1)));
        for tokens in [1, 150] {
            let (split, b) = trained(&Stage { micro_batch_tokens: tokens, ..stage.clone() });
            let worst = want.iter().zip(&split).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
            assert!(worst < 1e-9, "{} at {tokens} tokens: {worst}", stage.objective.loss.name());
            assert!(a.iter().zip(&b).all(|(x, y)| (x.loss - y.loss).abs() < 1e-9));
        }
    }
}

#[test]
fn rewards_of_turns_change_what_is_learnt() {
    let [plain, mixed, ppo, ..] = &stages()[..] else { panic!() };
    let mut bare = ppo.clone();
    bare.objective.turn_rewards = None;
    assert!(trained(plain).0 != trained(mixed).0);
    assert!(trained(ppo).0 != trained(&bare).0);
    // without weight the turn's reward still counts in episodes of one turn, so that this is another run than the group's
    let none = AdvantageOptions::TurnMixture(TurnMixture::default().with_coefficient(0.0));
    let mut none = stage(Grpo::default(), Some(none));
    none.objective.rollout.group = 6;
    assert!(trained(&none).1.iter().all(|m| m.loss.is_finite()));
}

#[test]
fn a_restored_run_of_episodes_goes_on_to_the_same_bits() {
    for stage in stages() {
        let (want, seen) = trained(&stage);
        with_world(true, |environment| {
            let rows = prompts(13);
            let reference = || stage.objective.needs_reference().then(|| model(2));
            let dir = tempfile::tempdir().unwrap();
            let folder = dir.path().join("checkpoint");
            let mut run = OnlineRun::new(&stage, &rows, model::<f64>(1), reference(), *environment, 3).unwrap();
            run.next_step().unwrap().unwrap();
            run.save(&folder, 5).unwrap();
            let (mut run, _) = OnlineRun::<Loaded, f64>::restore(&stage, &rows, reference(), *environment, &folder).unwrap();
            let mut rest = vec![];
            while let Some(m) = run.next_step().unwrap() {
                rest.push(m);
            }
            assert!(weights(run.policy()) == want, "{}", stage.objective.loss.name());
            for (mut a, mut b) in rest.into_iter().zip(seen[1..].iter().cloned()) {
                for m in [&mut a, &mut b] {
                    m.figures.retain(|k, _| !k.starts_with("time/"));
                }
                assert_eq!(a, b);
            }
        });
    }
}

fn fresh(objective: impl Into<tropism_objectives::Objective>) -> Stage<FreshOptions> {
    let mut options = FreshOptions::new(objective.into(), "world", toml::from_str("function = { type = 'world' }").unwrap());
    options.rollout = stages()[0].objective.rollout.clone();
    let mut stage = Stage::of("best", options, 1e-2);
    (stage.batch_size, stage.epochs, stage.max_steps) = (5, 100, Some(3));
    stage
}

#[test]
fn episodes_make_rows_that_are_learnt_without_what_the_world_said() {
    let learn = |stage: &Stage<FreshOptions>| {
        with_world(true, |environment| {
            let rows = prompts(13);
            let reference = stage.objective.needs_reference().then(|| model(2));
            let mut run = FreshRun::new(stage, &rows, model::<f64>(1), reference, *environment, 3).unwrap();
            while let Some(m) = run.next_step().unwrap() {
                assert!(m.loss.is_finite() && figure(&m, "episodes/mean_turns") > 1.0);
            }
            weights(run.policy())
        })
    };
    for stage in [fresh(Sft::default()), fresh(Dpo::default())] {
        let whole = learn(&stage);
        assert!(whole != weights(&model::<f64>(1)));
        let split = learn(&Stage { micro_batch_tokens: 1, ..stage });
        assert!(whole.iter().zip(&split).all(|(a, b)| (a - b).abs() < 1e-9));
    }
    learn(&fresh(Kto::default()));
    learn(&fresh(Xpo::default()));
}

#[test]
fn what_does_not_fit_episodes_is_named() {
    let said = |turn_rewards: bool, change: &dyn Fn(&mut Stage<PolicyGradientOptions>)| {
        let mut stage = stages().remove(0);
        change(&mut stage);
        with_world(turn_rewards, |e| stage.check_prompts(&prompts(3), e)).err().map_or(String::new(), |e| e.to_string())
    };
    assert_eq!(said(true, &|_| ()), "");
    let error = said(true, &|s| s.objective.rollout.turn_tokens = None);
    assert!(error.contains("rollout.turn_tokens") && error.contains("several turns"), "{error}");
    let error = said(true, &|s| s.objective.rollout.turn_tokens = Some(0));
    assert!(error.contains("`rollout.turn_tokens` is 0"), "{error}");
    let error = said(true, &|s| s.objective.turn_rewards = Some(1.0));
    assert!(error.contains("turn_rewards") && error.contains("by token"), "{error}");
    let mixture = AdvantageOptions::TurnMixture(TurnMixture::default());
    let error = said(true, &|s| {
        s.objective.advantages = Some(mixture.clone());
        s.objective.turn_rewards = Some(1.0);
    });
    assert!(error.contains("read the rewards of turns already"), "{error}");
    let error = said(true, &|s| {
        s.objective.advantages = Some(mixture.clone());
        s.objective.dynamic_sampling = Some(DynamicSampling::default());
    });
    assert!(error.contains("dynamic_sampling") && error.contains("rewards of turns"), "{error}");
    let error = said(false, &|s| s.objective.advantages = Some(mixture.clone()));
    assert!(error.contains("this world does not give"), "{error}");
    let plain = Environment::new(&[STOP], &decode);
    let error = stages()[0].check_prompts(&prompts(3), &plain).unwrap_err().to_string();
    assert!(error.contains("rollout.turn_tokens"), "{error}");
    let mut one_turn = stages().remove(1);
    one_turn.objective.rollout.turn_tokens = None;
    let error = one_turn.check().unwrap_err().to_string();
    assert!(error.contains("turn_mixture"), "{error}");
    let error = fresh(Selm::default()).check().unwrap_err().to_string();
    assert!(error.contains("rollout.turn_tokens") && error.contains("selm"), "{error}");
    let mut strange = prompts(3);
    strange[1].text = "who are you?".into();
    let error = with_world(true, |e| stages()[0].check_prompts(&strange, e)).unwrap_err().to_string();
    assert!(error.contains("row 2"), "{error}");
}

#[test]
fn reference_log_probabilities_know_what_was_given() {
    let dir = tempfile::tempdir().unwrap();
    let Rows::Pairs(mut pairs) = super::pairs(6) else { panic!() };
    pairs.retain(|p| p.chosen.len() > 3);
    let model: Decoder<Loaded, f64> = model(2);
    let dpo = Dpo::default().into();
    let score = |pairs: &[_]| {
        let rows = Rows::Pairs(pairs.to_vec());
        reference_logps(&model, &rows, &dpo, 1000, Some(dir.path())).unwrap()
    };
    let plain = score(&pairs);
    pairs[0].given[0] = vec![1..3];
    let given = score(&pairs);
    assert!(plain != given && given == score(&pairs));
}

#[cfg(feature = "http")]
#[test]
fn a_server_plays_the_same_episodes() {
    use super::server::{Fault, Form, Server};
    let run = |stage: &Stage<PolicyGradientOptions>| {
        with_world(true, |environment| {
            let rows = prompts(7);
            let mut run = OnlineRun::new(stage, &rows, model::<f32>(1), None, *environment, 3).unwrap();
            let mut seen = vec![];
            while let Some(mut m) = run.next_step().unwrap() {
                m.figures.retain(|k, _| !k.starts_with("time/"));
                seen.push(m);
            }
            (weights(run.policy()), seen)
        })
    };
    let mut plain = stage(Grpo::default().with_kl(KlPenalty::none()), None);
    // the likeliest tokens, whatever is drawn: a server's turns have draws of their own
    (plain.objective.rollout.temperature, plain.max_steps) = (1e-4, Some(1));
    let want = run(&plain);
    assert!(figure(&want.1[0], "episodes/mean_turns") > 1.0);
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("policy");
    let server = Server::start(folder.clone(), true, Form::Ids, Fault::None, usize::MAX);
    let mut served = plain.clone();
    let mut engine = OpenAiEngine::new(&server.url, "policy", &folder);
    (engine.concurrency, engine.timeout_s) = (3, 5.0);
    served.objective.rollout.engine = Some(Engine::Openai(engine));
    let found = run(&served);
    assert_eq!(found.1, want.1);
    assert!(found.0 == want.0);
    let turns = figure(&want.1[0], "episodes/mean_turns") * 20.0;
    assert_eq!(server.served() as f64, turns.round());
}

#[test]
fn an_episode_of_one_turn_is_a_completion() {
    // a world that says nothing: the same run as without turns, but for the world's own rewards
    struct Silent;
    impl Episodes for Silent {
        fn observe(&self, _: &str, _: &[String]) -> Result<Option<String>, RewardError> {
            Ok(None)
        }
        fn verdict(&self, _: &str, _: &[String]) -> Result<Verdict, RewardError> {
            Ok(Verdict::Wrong)
        }
    }
    impl Reward for Silent {
        fn name(&self) -> &str {
            "silent"
        }
        fn score(&self, _: &str, _: &str, _: Option<&str>) -> Result<Option<f64>, RewardError> {
            Ok(None)
        }
        fn episodes(&self) -> Option<&dyn Episodes> {
            Some(self)
        }
    }
    let world: Arc<dyn Reward> = Arc::new(Silent);
    let plain = Environment::new(&[STOP], &decode);
    let episodes = Environment { world: Some(&world), between: Some(&between), ..plain };
    let run = |turn_tokens: Option<usize>, environment: Environment| -> Vec<f64> {
        let mut stage = stage(Grpo::default().with_kl(KlPenalty::none()), None);
        stage.objective.rewards = BTreeMap::from([("length".to_owned(), super::online::length())]);
        (stage.objective.rollout.turn_tokens, stage.objective.rollout.max_new_tokens) = (turn_tokens, 12);
        let rows = prompts(5);
        let mut run = OnlineRun::new(&stage, &rows, model::<f64>(1), None, environment, 3).unwrap();
        while run.next_step().unwrap().is_some() {}
        let policy: &Decoder<Loaded, f64> = run.policy();
        weights(policy)
    };
    assert!(run(Some(12), episodes) == run(None, plain));
}
