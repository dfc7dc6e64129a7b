//! Figures of held-out answers with a value for each prompt, so that stages can be compared by them.
use super::comparison::right;
use super::prepare::{Model, Prepared};
use super::result::Answer;
use super::revision::by_prompt;
use crate::error::XtaskError;
use std::collections::{BTreeMap, BTreeSet};
use tropism_data::record::Source;
use tropism_data::tokens::TokenSample;
use tropism_lm::Sampling;
use tropism_trainer::{AnyStage, RewardFunction, score_samples};
use tropism_worlds::Difficulty;

type Values = BTreeMap<String, Vec<f64>>;

/// Tokens scored at a time.
const MAX_TOKENS: usize = 4096;

/// Shares of right answers by difficulty, aspects, and entropy, where a run has them.
pub(super) fn further(
    prepared: &Prepared,
    policy: &Model,
    answers: &[Answer],
    values: &mut Values,
) -> Result<(), XtaskError> {
    difficulties(prepared, answers, values);
    aspects(prepared, answers, values);
    if prepared.config.stages.iter().any(|s| s.sampling().is_some()) {
        entropy(prepared, policy, answers, values)?;
    }
    Ok(())
}

/// The share of right answers to the prompts of each difficulty.
fn difficulties(prepared: &Prepared, answers: &[Answer], values: &mut Values) {
    let Some(right) = right(answers) else { return };
    for difficulty in Difficulty::ALL {
        let of = |a: &Answer| prepared.prompts[a.prompt].difficulty == Some(difficulty);
        let (kept, numbers): (Vec<Answer>, Vec<f64>) =
            answers.iter().zip(&right).filter(|(a, _)| of(a)).map(|(a, r)| (a.clone(), *r)).unzip();
        let mut numbers = numbers.into_iter();
        if let Some(means) = by_prompt(&kept, |_| numbers.next()).filter(|m| !m.is_empty()) {
            values.insert(format!("accuracy/{}", difficulty.name()), means);
        }
    }
}

/// The aspects that the rewards of any stage read.
fn aspects(prepared: &Prepared, answers: &[Answer], values: &mut Values) {
    // a world of episodes knows them by their turns
    let Some(world) = prepared.world.as_ref().filter(|world| world.episodes().is_none()) else { return };
    let rewards = prepared.config.stages.iter().filter_map(AnyStage::sampling).flat_map(|(_, rewards)| rewards.values());
    let read: BTreeSet<&str> = rewards
        .filter_map(|r| match &r.function {
            RewardFunction::Aspect(a) => Some(a.aspect.as_str()),
            _ => None,
        })
        .collect();
    for name in read {
        let score = |a: &Answer| world.aspect(name, &prepared.prompts[a.prompt].text, &a.text).ok().flatten();
        if let Some(means) = by_prompt(answers, score) {
            values.insert(format!("aspects/{name}"), means);
        }
    }
}

/// Entropy in nats per token, estimated from the answers themselves: `−log π(answer) / tokens`, averaged. Only where answers are
/// drawn from the policy as it is.
fn entropy(prepared: &Prepared, policy: &Model, answers: &[Answer], values: &mut Values) -> Result<(), XtaskError> {
    let own = &prepared.config.evaluation.sampling;
    let plain = Sampling { max_new_tokens: own.max_new_tokens, ..Sampling::default() };
    if *own != plain || prepared.veto.is_some() {
        return Ok(());
    }
    let sample = |a: &Answer| TokenSample {
        source: Source::row("held-out prompt", a.prompt + 1),
        prompt: prepared.prompts[a.prompt].tokens.clone(),
        completion: a.tokens.clone(),
        given: a.given.clone(),
    };
    let samples: Vec<TokenSample> = answers.iter().map(sample).collect();
    let mut scores = score_samples(policy, &samples, MAX_TOKENS)?.into_iter();
    let surprise = |_: &Answer| scores.next().map(|s| -s.logps / s.tokens.max(1) as f64);
    if let Some(means) = by_prompt(answers, surprise) {
        values.insert("entropy".into(), means);
    }
    Ok(())
}
