//! Sampling and rating, until a step has its groups.
use super::batch::Batch;
use super::engine::Remote;
use super::figures::Times;
use super::options::{DynamicSampling, RolloutOptions};
use super::rated::Round;
use super::rewards::{Rating, WeightedReward};
use super::rollout::sample;
use crate::error::TrainError;
use crate::reward::RewardModels;
use dfdx::prelude::*;
use std::collections::BTreeMap;
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
    /// writes the tokenizer's files into a folder, for a server that loads the policy from there
    pub companions: Option<&'a (dyn Fn(&Path) -> Result<(), String> + Sync)>,
}

impl<'a> Environment<'a> {
    /// Without a world, reward models, and files beside a policy.
    pub fn new(stops: &'a [u32], decode: &'a (dyn Fn(&[u32]) -> Result<String, String> + Sync)) -> Self {
        Environment { stops, decode, world: None, models: None, companions: None }
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
        let answer = |tokens: &Vec<u32>| Answer {
            tokens: tokens.clone(),
            end: End::StopToken,
            model_logps: vec![],
            sampling_logps: vec![],
            text: None,
        };
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
        let Some(engine) = self.engine else {
            return sample(policy, self.rollout, &self.environment, &prompts, seed, each);
        };
        let sources: Vec<&Source> = picked.iter().map(|&row| &self.prompts[row].source).collect();
        let vocabulary = policy.config().sizes.vocab;
        engine.sample(self.rollout, &self.environment, (&prompts, &sources), (vocabulary, seed), each)
    }

    /// The groups that are kept, row by row; nothing when there are none.
    pub(crate) fn batch(&self, groups: &[Group]) -> Result<Option<Batch>, TrainError> {
        if groups.is_empty() {
            return Ok(None);
        }
        let (mut samples, mut members, mut truncated, mut sampler) = (vec![], vec![], vec![], vec![]);
        let warm = self.rollout.temperature != 1.0;
        for group in groups {
            let row = &self.prompts[group.prompt];
            members.push(samples.len()..samples.len() + group.answers.len());
            for answer in &group.answers {
                let (source, prompt) = (row.source.clone(), row.tokens.clone());
                samples.push(TokenSample { source, prompt, completion: answer.tokens.clone() });
                truncated.push(!answer.finished());
                let logps = if warm { &answer.sampling_logps } else { &answer.model_logps };
                sampler.push(logps.iter().map(|l| f64::from(*l)).collect());
            }
        }
        let of_row: Vec<usize> = members.iter().enumerate().flat_map(|(g, m)| vec![g; m.len()]).collect();
        let ratings: Vec<Vec<Rating>> = groups.iter().flat_map(|g| g.ratings.iter().cloned()).collect();
        let table = self.table(&ratings)?;
        let (sums, kept) = (table.sums(), vec![true; samples.len()]);
        let (old, reference, values, returns, shaped, credit) = (None, None, None, None, None, None);
        let groups = Groups::new(&of_row)?;
        Ok(Some(Batch {
            samples,
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

/// Whether all rewards of a group that are there are equal.
fn is_flat(sums: &[f64]) -> Result<bool, TrainError> {
    Ok(dynamic_sampling(sums, &Groups::of_size(sums.len(), sums.len())?)?.dropped == 1)
}
