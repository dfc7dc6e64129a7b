//! First steps made again by hand, and relations that hold whatever was drawn.
use super::online::{STOP, decode, environment, figure, length, prompts};
use super::{lora, model, pairs, weights, word};
use dfdx::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use tropism_data::order::Order;
use tropism_data::stream::Stream;
use tropism_data::tokens::{TokenPair, TokenSample};
use tropism_lm::{Decoder, Dims, HeadSpec, Headed, Heads, Loaded, Request, Sampler, Sampling};
use tropism_objectives::{Dpo, Objective, Selm};
use tropism_ops::Scalar;
use tropism_policy_gradient::{Grpo, KlPenalty, PolicyGradient, ReinforcePlusPlus};
use tropism_rewards::{Episodes, Reward, RewardError, Verdict};
use tropism_trainer::*;

/// What a model samples for some prompts: the same as a stage that draws by these bits.
fn sampled<E: Scalar>(
    model: &Decoder<Loaded, E>,
    rows: &[PromptRow],
    picked: &[usize],
    bits: u64,
    group: usize,
) -> Vec<TokenSample>
where
    Cpu: Device<E>,
{
    let sampling = Sampling { max_new_tokens: 8, ..Sampling::default() };
    let sampler = Sampler::new(model, sampling).stop_tokens(&[STOP]).seed(bits);
    let request = |(i, &r): (usize, &usize)| {
        let stream = Some(i as u32);
        Request { stream, ..Request::new(rows[r].tokens.clone(), group) }
    };
    let answers = sampler.answers(&picked.iter().enumerate().map(request).collect::<Vec<_>>()).unwrap();
    let sample = |r: &usize, completion: &[u32]| TokenSample {
        source: rows[*r].source.clone(),
        prompt: rows[*r].tokens.clone(),
        completion: completion.to_vec(),
        given: vec![],
    };
    picked.iter().zip(&answers).flat_map(|(r, a)| a.iter().map(move |a| sample(r, &a.tokens))).collect()
}

fn rollout(group: usize) -> RolloutOptions {
    RolloutOptions { group, max_new_tokens: 8, ..RolloutOptions::default() }
}

fn fresh(objective: impl Into<Objective>, group: usize) -> Stage<FreshOptions> {
    let mut options = FreshOptions::new(objective.into(), "length", length());
    options.rollout = rollout(group);
    let mut stage = Stage::of("fresh", options, 1e-2);
    (stage.batch_size, stage.epochs, stage.max_steps) = (6, 100, Some(4));
    stage
}

fn online(loss: impl Into<PolicyGradient>, reward: &str, group: usize) -> Stage<PolicyGradientOptions> {
    let mut options = PolicyGradientOptions::new(loss, "score", toml::from_str(reward).unwrap());
    options.rollout = rollout(group);
    let mut stage = Stage::of("online", options, 1e-2);
    (stage.batch_size, stage.epochs, stage.max_steps) = (5, 100, Some(2));
    stage
}

#[test]
fn what_is_distilled_on_policy_is_the_policy_s_and_new_in_each_step() {
    let options = |loss: &str| toml::from_str(&format!("favoured = 'a'\nother = 'b'\nloss = {loss}")).unwrap();
    let stage = |options: DistilOptions| Stage { batch_size: 4, ..Stage::of("distil", options, 1e-300) };
    let (rows, environment, teachers) = (prompts(9), environment(), || [model::<f64>(2), model(3)]);
    let mut drawn = Stage { epochs: 100, max_steps: Some(2), ..stage(options("{}")) };
    drawn.objective.rollout = Some(rollout(2));
    let source = DistilSource::Prompts(&rows, &environment);
    let mut run = DistilRun::new(&drawn, source, model(1), teachers(), 3).unwrap();
    let (mut order, mut stream) = (Order::new(9, 3, true).unwrap(), Stream::new(3, "distil/rollouts"));
    for _ in 0..2 {
        let found = run.next_step().unwrap().unwrap();
        let samples = sampled(&model::<f64>(1), &rows, &order.batch(4), stream.bits(), 2);
        let on_rows = |loss: &str| {
            let stage = Stage { batch_size: samples.len(), ..stage(options(loss)) };
            let mut run = DistilRun::new(&stage, DistilSource::Rows(&samples), model(1), teachers(), 3).unwrap();
            run.next_step().unwrap().unwrap()
        };
        let want = on_rows("{}");
        assert!((found.loss - want.loss).abs() < 1e-10, "{} {}", found.loss, want.loss);
        assert!((figure(&found, "teacher_distance") - figure(&want, "teacher_distance")).abs() < 1e-10);
        // what the teachers say of the policy's tokens counts by beta
        let [one, two] = ["{ beta = 0.1 }", "{ beta = 0.2 }"].map(|loss| figure(&on_rows(loss), "expected_reward"));
        assert!((two - 2.0 * one).abs() < 1e-12 && one != 0.0, "{one} {two}");
    }
}

#[test]
fn a_finished_reward_model_scores_as_in_training_and_knows_its_spread() {
    let options = toml::from_str("pooling = 'mean'").unwrap();
    let stage = Stage { batch_size: 6, lora: Some(lora()), ..Stage::of("reward", options, 1e-1) };
    let rows = pairs(9);
    let mut run = RewardRun::new(&stage, &rows, model::<f64>(1), 3).unwrap();
    while run.next_step().unwrap().is_some() {}
    let card = RewardCard { pooling: Pooling::Mean, scores: BTreeMap::new() };
    let training = RewardModel { model: run.model().clone(), card };
    let found = run.into_model().unwrap();
    let Rows::Pairs(all) = &rows else { unreachable!() };
    let sides = |p: &TokenPair| [p.chosen_sample(), p.rejected_sample()];
    let samples: Vec<TokenSample> = all.iter().flat_map(sides).collect();
    let (want, scores) = (training.scores("reward", &samples, 999).unwrap(), found.scores("reward", &samples, 999).unwrap());
    assert!(want.iter().zip(&scores).all(|(a, b)| (a - b).abs() < 1e-9), "{want:?} {scores:?}");
    let mean = want.iter().sum::<f64>() / 18.0;
    let std = (want.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / 18.0).sqrt();
    let spread = found.card.scores["reward"];
    assert!((spread.mean - mean).abs() < 1e-9 && (spread.std - std).abs() < 1e-9, "{spread:?} {mean} {std}");
    assert_eq!(found.card.pooling, Pooling::Mean);
}

#[test]
fn a_reward_model_rates_the_completions_that_were_sampled() {
    let trunk = model::<f32>(9);
    let head = HeadSpec { name: "a".into(), outputs: 1, bias: false };
    let heads = Heads::random(trunk.dims.hidden(), &[head], 0.5, 4).unwrap();
    let scorer = RewardModel { model: Headed { trunk, heads }, card: RewardCard::default() };
    let models = LoadedModels { models: BTreeMap::from([("stage rm".to_owned(), scorer)]), max_tokens: 64 };
    let loss = Grpo::default().with_kl(KlPenalty::none());
    let stage = online(loss, "function = { type = 'model', stage = 'rm' }", 4);
    let (rows, start) = (prompts(7), model::<f32>(1));
    let environment = Environment { models: Some(&models), ..environment() };
    let mut run = OnlineRun::new(&stage, &rows, start.clone(), None, environment, 3).unwrap();
    let m = run.next_step().unwrap().unwrap();
    let picked = Order::new(7, 3, true).unwrap().batch(5);
    let samples = sampled(&start, &rows, &picked, Stream::new(3, "online/rollouts").bits(), 4);
    let asked = stage.objective.rewards["score"].function.model().unwrap();
    let scores = models.rate(asked, &samples).unwrap();
    let mean = scores.iter().sum::<f64>() / scores.len() as f64;
    assert!((figure(&m, "rewards/score/mean") - mean).abs() < 1e-6 && mean.abs() > 1e-3, "{mean}");
}

/// Cannot rate answers to one of the prompts.
struct Refusing;

impl Reward for Refusing {
    fn name(&self) -> &str {
        "refusing"
    }

    fn score(&self, prompt: &str, completion: &str, _: Option<&str>) -> Result<Option<f64>, RewardError> {
        match prompt {
            "prompt 3" => Err(RewardError::NoParts { reward: "refusing".into() }),
            _ => Ok(Some(completion.len() as f64)),
        }
    }
}

#[test]
fn the_prompt_whose_answers_were_not_rated_is_named_and_makes_no_steps() {
    let world: Arc<dyn Reward> = Arc::new(Refusing);
    let environment = Environment { world: Some(&world), ..environment() };
    let rows = prompts(7);
    let run = |max_failed: f64| {
        let mut stage = online(Grpo::default().with_kl(KlPenalty::none()), "function = { type = 'world' }", 4);
        (stage.batch_size, stage.objective.rollout.rating.max_failed) = (7, max_failed);
        let process = "learning_rate = 1e-2\nstep_ends = ['c', 'f', 'k']\nloss = { pairing = 'ranked' }";
        stage.objective.process_rewards = Some(toml::from_str(process).unwrap());
        let mut run = OnlineRun::new(&stage, &rows, model::<f64>(1), None, environment, 3).unwrap();
        run.next_step().map(Option::unwrap).map_err(|e| e.to_string())
    };
    let said = run(0.0).unwrap_err();
    assert!(said.contains("prompts.jsonl, row 4"), "{said}");
    let m = run(1.0).unwrap();
    assert!(m.loss.is_finite() && figure(&m, "process/pairs") > 0.0, "{m:?}");
}

#[test]
fn a_reference_renewed_in_each_step_tells_nothing_from_the_policy() {
    let losses = |reference_every: usize| -> Vec<f64> {
        let mut stage = fresh(Dpo::default(), 4);
        stage.objective.reference_every = reference_every;
        let (rows, start) = (prompts(13), model::<f64>(1));
        let mut run = FreshRun::new(&stage, &rows, start.clone(), Some(start), environment(), 3).unwrap();
        (0..4).map(|_| run.next_step().unwrap().unwrap()).filter(|m| m.figures["rows"] != 0).map(|m| m.loss).collect()
    };
    let renewed = losses(1);
    assert!(renewed.len() > 2 && renewed.iter().all(|l| (l - 2f64.ln()).abs() < 1e-9), "{renewed:?}");
    assert!(losses(0)[1..].iter().all(|l| (l - 2f64.ln()).abs() > 1e-6));
}

#[test]
fn a_fresh_pair_s_loss_is_against_the_reference() {
    let objective: Objective = toml::from_str("method = 'dpo'\nbeta = 0.1").unwrap();
    let stage = fresh(objective, 2);
    let (rows, start, other) = (prompts(1), model::<f64>(1), model::<f64>(2));
    // the first of the seeds under which the two completions differ in reward
    let found = (0..20).find_map(|seed| {
        let mut run = FreshRun::new(&stage, &rows, start.clone(), Some(other.clone()), environment(), seed).unwrap();
        let m = run.next_step().unwrap().unwrap();
        (m.figures["rows"] == 1).then_some((seed, m))
    });
    let (seed, m) = found.unwrap();
    let samples = sampled(&start, &rows, &[0], Stream::new(seed, "fresh/rollouts").bits(), 2);
    let [ours, theirs] = [&start, &other].map(|m| score_samples(m, &samples, 4096).unwrap());
    let chosen = usize::from((ours[0].logps - figure(&m, "logps/chosen")).abs() > 1e-6);
    assert!((ours[chosen].logps - figure(&m, "logps/chosen")).abs() < 1e-6);
    let ratio = |i: usize| ours[i].logps - theirs[i].logps;
    let want = (-0.1 * (ratio(chosen) - ratio(1 - chosen))).exp().ln_1p();
    assert!((m.loss - want).abs() < 1e-9 && (want - 2f64.ln()).abs() > 1e-6, "{} {want}", m.loss);
}

#[test]
fn completions_of_the_reference_are_sampled_from_it() {
    let mut stage = fresh(Selm::default(), 4);
    stage.objective.data_completions = true;
    let with = |(i, p): (usize, PromptRow)| PromptRow { given: vec![word(i + 1, 3), word(i + 2, 5)], ..p };
    let rows: Vec<PromptRow> = prompts(13).into_iter().enumerate().map(with).collect();
    let (start, other) = (model::<f64>(1), model::<f64>(2));
    let mut run = FreshRun::new(&stage, &rows, start.clone(), Some(other.clone()), environment(), 3).unwrap();
    let m = run.next_step().unwrap().unwrap();
    let mut stream = Stream::new(3, "fresh/rollouts");
    let bits = [stream.bits(), stream.bits()];
    let picked = Order::new(13, 3, true).unwrap().batch(6);
    let mean = |model: &Decoder<Loaded, f64>| {
        let samples = sampled(model, &rows, &picked, bits[1], 4);
        samples.iter().map(|s| s.completion.len() as f64).sum::<f64>() / samples.len() as f64
    };
    assert!((figure(&m, "completions/mean_length") - mean(&other)).abs() < 1e-9);
    assert!(mean(&start) != mean(&other));
}

#[test]
fn the_first_steps_sample_from_bare_questions_if_asked() {
    let bare = |(i, p): (usize, PromptRow)| PromptRow { plain: word(i + 40, 4), ..p };
    let rows: Vec<PromptRow> = prompts(13).into_iter().enumerate().map(bare).collect();
    let turned: Vec<PromptRow> = rows.iter().map(|p| PromptRow { tokens: p.plain.clone(), ..p.clone() }).collect();
    let lengths = |rows: &[PromptRow], plain_steps: usize| -> Vec<f64> {
        let mut stage = Stage { learning_rate: 1e-300, ..fresh(Dpo::default(), 4) };
        stage.objective.rewards.insert("other".into(), WeightedReward { weight: 0.5, ..length() });
        let directions = format!("rewards = ['length', 'other']\nangles = [10.0]\nplain_steps = {plain_steps}");
        stage.objective.directions = Some(toml::from_str(&directions).unwrap());
        let start = model::<f64>(1);
        let mut run = FreshRun::new(&stage, rows, start.clone(), Some(start), environment(), 3).unwrap();
        (0..4).map(|_| figure(&run.next_step().unwrap().unwrap(), "completions/mean_length")).collect()
    };
    let (told, questions) = (lengths(&rows, 0), lengths(&turned, 0));
    assert!(told[..2] != questions[..2] && told[2..] != questions[2..], "{told:?} {questions:?}");
    assert_eq!(lengths(&rows, 2), [&questions[..2], &told[2..]].concat());
}

/// Says something twice, and cannot stand a `d`; or says nothing and rewards the only turn.
struct Careful {
    replies: usize,
}

impl Careful {
    fn read(turns: &[String]) -> Result<(), RewardError> {
        let refused = turns.iter().any(|t| t.contains('d'));
        if refused { Err(RewardError::NoParts { reward: "careful".into() }) } else { Ok(()) }
    }
}

impl Episodes for Careful {
    fn observe(&self, _: &str, turns: &[String]) -> Result<Option<String>, RewardError> {
        if self.replies > 0 {
            Self::read(turns)?;
        }
        Ok((turns.len() <= self.replies).then(|| "xx".to_owned()))
    }

    fn verdict(&self, _: &str, _: &[String]) -> Result<Verdict, RewardError> {
        Ok(Verdict::Wrong)
    }

    fn score(&self, _: &str, turns: &[String]) -> Result<Option<f64>, RewardError> {
        if self.replies > 0 {
            Self::read(turns)?;
        }
        Ok(Some(turns.iter().map(String::len).sum::<usize>() as f64))
    }

    fn turn_rewards(&self, _: &str, turns: &[String]) -> Result<Option<Vec<f64>>, RewardError> {
        Ok(Some(turns.iter().map(|t| t.len() as f64).collect()))
    }
}

impl Reward for Careful {
    fn name(&self) -> &str {
        "careful"
    }

    fn score(&self, _: &str, _: &str, _: Option<&str>) -> Result<Option<f64>, RewardError> {
        Err(RewardError::NoScore { reward: "careful".into() })
    }

    fn episodes(&self) -> Option<&dyn Episodes> {
        Some(self)
    }
}

fn between(text: &str, last: Option<u32>) -> Result<Vec<u32>, String> {
    let end = if last == Some(STOP) { vec![] } else { vec![STOP] };
    Ok([end, vec![3; text.len()], vec![21]].concat())
}

#[test]
fn a_world_hears_turns_without_what_ends_them_and_its_words_are_no_length() {
    let world: Arc<dyn Reward> = Arc::new(Careful { replies: 2 });
    let plain = Environment::new(&[STOP], &decode);
    let environment = Environment { world: Some(&world), between: Some(&between), ..plain };
    let mut stage = online(Grpo::default().with_kl(KlPenalty::none()), "function = { type = 'world' }", 4);
    let count: WeightedReward = toml::from_str("function = { type = 'token_length', capacity = 50 }").unwrap();
    stage.objective.rewards.insert("tokens".into(), count);
    let rollout = &mut stage.objective.rollout;
    // the world's own words, three times `d`, are not looked through
    (rollout.stop, rollout.max_new_tokens, rollout.turn_tokens) = (vec!["d".into()], 44, Some(12));
    rollout.rating.max_failed = 0.0;
    let rows = prompts(9);
    let mut run = OnlineRun::new(&stage, &rows, model::<f64>(1), None, environment, 3).unwrap();
    for _ in 0..2 {
        let m = run.next_step().unwrap().unwrap();
        assert!(figure(&m, "episodes/mean_turns") > 1.0);
        assert!((figure(&m, "rewards/tokens/mean") + figure(&m, "completions/mean_length") / 50.0).abs() < 1e-12);
    }
}

#[test]
fn a_reward_of_the_only_turn_is_one_of_the_completion() {
    let world: Arc<dyn Reward> = Arc::new(Careful { replies: 0 });
    let plain = Environment::new(&[STOP], &decode);
    let environment = Environment { world: Some(&world), between: Some(&between), ..plain };
    let trained = |world_weight: f64, turn_rewards: Option<f64>| {
        let mut stage = online(ReinforcePlusPlus::default(), "function = { type = 'world' }", 4);
        stage.objective.advantages = Some(toml::from_str("method = 'reinforce_plus_plus'\ngamma = 0.5").unwrap());
        stage.objective.rewards.insert("length".into(), length());
        stage.objective.rewards.get_mut("score").unwrap().weight = world_weight;
        let rollout = &mut stage.objective.rollout;
        (rollout.turn_tokens, stage.objective.turn_rewards) = (Some(8), turn_rewards);
        let rows = prompts(9);
        let reference = stage.objective.needs_reference().then(|| model(2));
        let mut run = OnlineRun::new(&stage, &rows, model::<f64>(1), reference, environment, 3).unwrap();
        while run.next_step().unwrap().is_some() {}
        weights(run.policy())
    };
    let (outcome, turn, none) = (trained(0.3, None), trained(0.0, Some(0.3)), trained(0.0, None));
    let apart = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
    assert!(apart(&outcome, &turn) < 1e-9, "{}", apart(&outcome, &turn));
    assert!(apart(&outcome, &none) > 1e-4);
}
