//! Sampling and rating, until a step has its groups.
use super::batch::Batch;
use super::engine::Remote;
use super::episodes::Player;
use super::figures::Times;
use super::options::{DynamicSampling, RolloutOptions};
use super::rated::Round;
use super::rewards::{Rating, WeightedReward};
use super::rollout::sample;
use crate::error::TrainError;
use crate::reward::RewardModels;
use dfdx::prelude::*;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use tropism_data::order::Order;
use tropism_data::record::Source;
use tropism_data::stream::Stream;
use tropism_data::tokens::TokenSample;
use tropism_lm::{Answer, Decoder, Dims, End};
use tropism_ops::Scalar;
use tropism_policy_gradient::{Groups, dynamic_sampling};
use tropism_rewards::Reward;

/// A prompt to sample from.
#[derive(Clone, Debug, PartialEq)]
pub struct PromptRow {
    /// where it came from
    pub source: Source,
    /// its tokens, the opening of the answer included
    pub tokens: Vec<u32>,
    /// its text, as rewards read it
    pub text: String,
    /// the known truth of its answer
    pub truth: Option<String>,
    /// completions that the data have for it
    pub given: Vec<Vec<u32>>,
    /// its tokens without a direction; empty where it tells none
    pub plain: Vec<u32>,
    /// weights of the rewards in the order of their names, in place of the stage's; empty: the stage's
    pub weights: Vec<f64>,
}

impl PromptRow {
    /// A prompt without completions or weights of its own.
    pub fn new(source: Source, tokens: Vec<u32>, text: impl Into<String>, truth: Option<String>) -> Self {
        PromptRow { source, tokens, text: text.into(), truth, given: vec![], plain: vec![], weights: vec![] }
    }
}

/// Turns what a world says into tokens; the second argument is the token that ended the turn before, if one did.
pub type Between<'a> = dyn Fn(&str, Option<u32>) -> Result<Vec<u32>, String> + Sync + 'a;

/// What completions are ended, read and rated by.
#[derive(Clone, Copy)]
pub struct Environment<'a> {
    /// ids that end a completion
    pub stops: &'a [u32],
    /// turns a completion's tokens into text, without those that end it
    pub decode: &'a (dyn Fn(&[u32]) -> Result<String, String> + Sync),
    /// the embedded world that made the prompts; shared, as a call that hangs outlives its step
    pub world: Option<&'a Arc<dyn Reward>>,
    /// the reward models that rewards ask for
    pub models: Option<&'a dyn RewardModels>,
    /// tokens between a turn that ended with a token, or with none that ends, and the next: what the world said, as the chat
    /// template writes it; for rollouts of several turns
    pub between: Option<&'a Between<'a>>,
    /// writes the tokenizer's files into a folder, for a server that loads the policy from there
    pub companions: Option<&'a (dyn Fn(&Path) -> Result<(), String> + Sync)>,
}

impl<'a> Environment<'a> {
    /// Without a world, reward models, and files beside a policy.
    pub fn new(stops: &'a [u32], decode: &'a (dyn Fn(&[u32]) -> Result<String, String> + Sync)) -> Self {
        Environment { stops, decode, world: None, models: None, between: None, companions: None }
    }

    /// The world as a plain reward.
    pub(crate) fn reward(&self) -> Option<&'a dyn Reward> {
        self.world.map(|w| &**w)
    }

    /// What keeps one of the rewards from scoring with its model: the reward's name, and the problem.
    pub(crate) fn models_problem(&self, rewards: &BTreeMap<String, WeightedReward>) -> Option<(String, String)> {
        rewards.iter().find_map(|(name, reward)| {
            let wanted = reward.function.model()?;
            let found = self.models.map(|m| m.check(wanted));
            let problem = found.unwrap_or_else(|| Err("no reward models are at hand".to_owned())).err()?;
            Some((name.clone(), problem))
        })
    }
}

/// A prompt's completions with their ratings.
pub(crate) struct Group {
    /// its row
    pub(crate) prompt: usize,
    pub(crate) answers: Vec<Answer>,
    /// by completion and reward
    pub(crate) ratings: Vec<Vec<Rating>>,
    /// weighted sums; NaN where there is none
    pub(crate) sums: Vec<f64>,
}

/// All groups of a step.
pub(crate) struct Gathered {
    /// those that are learnt from
    pub(crate) kept: Vec<Group>,
    /// those that dynamic sampling left out
    pub(crate) flat: Vec<Group>,
    pub(crate) rounds: usize,
}

/// The parts of a stage that gathering needs.
pub(crate) struct Gatherer<'a> {
    pub(crate) rollout: &'a RolloutOptions,
    pub(crate) rewards: &'a BTreeMap<String, WeightedReward>,
    pub(crate) dynamic_sampling: Option<&'a DynamicSampling>,
    pub(crate) prompts: &'a [PromptRow],
    pub(crate) environment: Environment<'a>,
    /// the server that writes completions, where it is not this program
    pub(crate) engine: Option<&'a Remote>,
    /// groups of a step
    pub(crate) groups: usize,
    /// sample from prompts without their direction
    pub(crate) plain: bool,
    /// whether the world's rewards of turns are wanted
    pub(crate) turn_rewards: bool,
}

impl Gatherer<'_> {
    /// Samples from the next prompts of `order`; `streams` gives each round the seed of its draws.
    pub(crate) fn gather<M: Dims, E: Scalar>(
        &self,
        policy: &Decoder<M, E>,
        order: &mut Order,
        streams: &mut Stream,
        times: &mut Times,
    ) -> Result<Gathered, TrainError>
    where
        Cpu: Device<E>,
    {
        self.sync(policy, times)?;
        let mut found = Gathered { kept: vec![], flat: vec![], rounds: 0 };
        let most = self.dynamic_sampling.map_or(1, |d| d.max_rounds);
        while found.rounds < most && found.kept.len() < self.groups {
            let picked = order.batch(self.groups - found.kept.len());
            for group in self.round(policy, &picked, streams.bits(), times)? {
                let flat = self.dynamic_sampling.is_some() && is_flat(&group.sums)?;
                let list = if flat { &mut found.flat } else { &mut found.kept };
                list.push(group);
            }
            found.rounds += 1;
        }
        Ok(found)
    }

    /// A group of rated completions of each of the picked prompts.
    pub(crate) fn round<M: Dims, E: Scalar>(
        &self,
        policy: &Decoder<M, E>,
        picked: &[usize],
        seed: u64,
        times: &mut Times,
    ) -> Result<Vec<Group>, TrainError>
    where
        Cpu: Device<E>,
    {
        let mut round = Round::new(self, picked)?;
        let clock = Instant::now();
        let answers = self.sample(policy, picked, seed, &mut |place, number, answer| round.take(place, number, answer))?;
        times.rollout += clock.elapsed();
        let clock = Instant::now();
        let groups = round.finish(answers);
        times.reward += clock.elapsed();
        groups
    }

    /// The rated completions that the data have for the picked prompts.
    pub(crate) fn given(&self, picked: &[usize]) -> Result<Vec<Group>, TrainError> {
        let answer = |tokens: &Vec<u32>| Answer { tokens: tokens.clone(), end: End::StopToken, ..Answer::empty() };
        let mut round = Round::new(self, picked)?;
        let answers: Vec<Vec<Answer>> =
            picked.iter().map(|&row| self.prompts[row].given.iter().map(answer).collect()).collect();
        for (place, group) in answers.iter().enumerate() {
            group.iter().enumerate().for_each(|(number, answer)| round.take(place, number, answer));
        }
        round.finish(answers)
    }

    /// The scores of reward models for all completions: by completion, in the order of the rewards.
    pub(crate) fn model_scores(
        &self,
        picked: &[usize],
        answers: &[Vec<Answer>],
    ) -> Result<Vec<Vec<Option<f64>>>, TrainError> {
        let mut scores = vec![vec![None; self.rewards.len()]; answers.iter().map(Vec::len).sum()];
        let mut samples = vec![];
        for (k, reward) in self.rewards.values().enumerate() {
            let (Some(wanted), Some(models)) = (reward.function.model(), self.environment.models) else { continue };
            if samples.is_empty() {
                let of = |(&prompt, answers): (&usize, &Vec<Answer>)| {
                    let row = &self.prompts[prompt];
                    let sample = |a: &Answer| TokenSample {
                        source: row.source.clone(),
                        prompt: row.tokens.clone(),
                        completion: a.tokens.clone(),
                        given: a.given.clone(),
                    };
                    answers.iter().map(sample).collect::<Vec<_>>()
                };
                samples = picked.iter().zip(answers).flat_map(of).collect();
            }
            for (to, score) in scores.iter_mut().zip(models.rate(wanted, &samples)?) {
                to[k] = Some(score);
            }
        }
        Ok(scores)
    }

    /// The other side of episodes, where completions are some.
    pub(crate) fn player(&self) -> Result<Option<Player<'_>>, TrainError> {
        let Some(_) = self.rollout.turn_tokens else { return Ok(None) };
        let player = Player::new(&self.environment, &self.rollout.stop);
        player.map(Some).map_err(|problem| TrainError::Reward { row: "rollout.turn_tokens".into(), problem })
    }

    /// The world's rewards of single turns, by completion, where they are wanted.
    fn turn_rewards(&self, groups: &[Group]) -> Result<Option<Vec<Vec<f64>>>, TrainError> {
        let Some(player) = self.player()?.filter(|_| self.turn_rewards) else { return Ok(None) };
        let mut found = vec![];
        for (group, answer) in groups.iter().flat_map(|g| g.answers.iter().map(move |a| (g, a))) {
            let row = &self.prompts[group.prompt];
            let refuse = |problem: String| TrainError::Reward { row: row.source.to_string(), problem };
            let turns = player.turns(answer).map_err(refuse)?;
            let rewards = player.world().turn_rewards(&row.text, &turns).map_err(|e| refuse(e.to_string()))?;
            let rewards = rewards.ok_or_else(|| refuse("the world gives no rewards of turns here".into()))?;
            if rewards.len() != turns.len() || rewards.iter().any(|r| !r.is_finite()) {
                return Err(refuse(format!("the world gives the rewards {rewards:?} for {} turns", turns.len())));
            }
            found.push(rewards);
        }
        Ok(Some(found))
    }

    /// Brings a server up to the policy.
    pub(crate) fn sync<M: Dims, E: Scalar>(&self, policy: &Decoder<M, E>, times: &mut Times) -> Result<(), TrainError>
    where
        Cpu: Device<E>,
    {
        let clock = Instant::now();
        if let Some(engine) = self.engine {
            engine.sync(policy, &self.environment)?;
        }
        times.rollout += clock.elapsed();
        Ok(())
    }

    fn sample<M: Dims, E: Scalar>(
        &self,
        policy: &Decoder<M, E>,
        picked: &[usize],
        seed: u64,
        each: &mut dyn FnMut(usize, usize, &Answer),
    ) -> Result<Vec<Vec<Answer>>, TrainError>
    where
        Cpu: Device<E>,
    {
        let tokens = |&row: &usize| {
            let row = &self.prompts[row];
            if self.plain && !row.plain.is_empty() { row.plain.as_slice() } else { &row.tokens }
        };
        let prompts: Vec<&[u32]> = picked.iter().map(tokens).collect();
        let texts: Vec<&str> = picked.iter().map(|&row| self.prompts[row].text.as_str()).collect();
        let Some(engine) = self.engine else {
            return sample(policy, self.rollout, &self.environment, (&prompts, &texts), seed, each);
        };
        let sources: Vec<&Source> = picked.iter().map(|&row| &self.prompts[row].source).collect();
        let vocabulary = policy.config().sizes.vocab;
        engine.sample(self.rollout, &self.environment, (&prompts, &texts, &sources), (vocabulary, seed), each)
    }

    /// The groups that are kept, row by row; nothing when there are none.
    pub(crate) fn batch(&self, groups: &[Group]) -> Result<Option<Batch>, TrainError> {
        if groups.is_empty() {
            return Ok(None);
        }
        let (mut samples, mut members, mut truncated, mut sampler) = (vec![], vec![], vec![], vec![]);
        let (mut written, mut turns) = (vec![], vec![]);
        let warm = self.rollout.temperature != 1.0;
        for group in groups {
            let row = &self.prompts[group.prompt];
            members.push(samples.len()..samples.len() + group.answers.len());
            for answer in &group.answers {
                let (source, prompt) = (row.source.clone(), row.tokens.clone());
                let (completion, given, parts) = (answer.tokens.clone(), answer.given.clone(), answer.turns());
                samples.push(TokenSample { source, prompt, completion, given });
                truncated.push(!answer.finished());
                let logps = if warm { &answer.sampling_logps } else { &answer.model_logps };
                let own = parts.iter().flat_map(|part| &logps[part.clone()]);
                sampler.push(own.map(|l| f64::from(*l)).collect());
                written.push(parts.iter().flat_map(|part| &answer.tokens[part.clone()]).copied().collect());
                turns.push(lengthwise(&parts));
            }
        }
        let of_row: Vec<usize> = members.iter().enumerate().flat_map(|(g, m)| vec![g; m.len()]).collect();
        let ratings: Vec<Vec<Rating>> = groups.iter().flat_map(|g| g.ratings.iter().cloned()).collect();
        let table = self.table(&ratings)?;
        // what could not be rated is not learnt from
        let kept = ratings.iter().map(|row| !self.lacks(row)).collect();
        let sums = table.sums();
        let (old, reference, values, returns, shaped, credit) = (None, None, None, None, None, None);
        let (turn_rewards, groups) = (self.turn_rewards(groups)?, Groups::new(&of_row)?);
        Ok(Some(Batch {
            samples,
            written,
            turns,
            turn_rewards,
            groups,
            members,
            table,
            sums,
            truncated,
            kept,
            sampler,
            old,
            reference,
            values,
            returns,
            shaped,
            credit,
        }))
    }
}

/// Neighbouring ranges of the same lengths, from 0.
fn lengthwise(parts: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut end = 0;
    let next = |part: &Range<usize>| {
        end += part.len();
        end - part.len()..end
    };
    parts.iter().map(next).collect()
}

/// Whether all rewards of a group that are there are equal.
fn is_flat(sums: &[f64]) -> Result<bool, TrainError> {
    Ok(dynamic_sampling(sums, &Groups::of_size(sums.len(), sums.len())?)?.dropped == 1)
}
