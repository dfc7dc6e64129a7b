//! Sampling and rating, until a step has its groups.
use super::batch::Batch;
use super::engine::Remote;
use super::figures::Times;
use super::options::{DynamicSampling, RolloutOptions};
use super::rewards::{Completion, Rating, RatingFailure, WeightedReward, settle};
use super::rollout::sample;
use super::workers::Pool;
use crate::error::TrainError;
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
use tropism_policy_gradient::{Groups, RewardTable, dynamic_sampling};
use tropism_rewards::Reward;

/// A prompt to sample from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromptRow {
    /// where it came from
    pub source: Source,
    /// its tokens, the opening of the answer included
    pub tokens: Vec<u32>,
    /// its text, as rewards read it
    pub text: String,
    /// the known truth of its answer
    pub truth: Option<String>,
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
    /// writes the tokenizer's files into a folder, for a server that loads the policy from there
    pub companions: Option<&'a (dyn Fn(&Path) -> Result<(), String> + Sync)>,
}

impl<'a> Environment<'a> {
    /// Without a world, and without files beside a policy.
    pub fn new(stops: &'a [u32], decode: &'a (dyn Fn(&[u32]) -> Result<String, String> + Sync)) -> Self {
        Environment { stops, decode, world: None, companions: None }
    }

    /// The world as a plain reward.
    pub(crate) fn reward(&self) -> Option<&'a dyn Reward> {
        self.world.map(|w| &**w)
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
        let rewards = self.rewards.values().map(|r| r.function.clone()).collect();
        let mut pool = Pool::new(&self.rollout.rating, rewards, self.environment.world.cloned())?;
        let mut refused = None;
        let mut each = |place: usize, number: usize, answer: &Answer| {
            let row = &self.prompts[picked[place]];
            match self.text(answer) {
                Ok(text) => {
                    let (prompt, truth, tokens) = (row.text.as_str(), row.truth.as_deref(), answer.tokens.len());
                    let completion = Completion { prompt, truth, text: text.trim(), tokens };
                    pool.submit(place * self.rollout.group + number, &completion);
                }
                Err(problem) => {
                    refused.get_or_insert(TrainError::Reward { row: row.source.to_string(), problem });
                }
            }
        };
        let clock = Instant::now();
        let answers = self.sample(policy, picked, seed, &mut each)?;
        times.rollout += clock.elapsed();
        if let Some(e) = refused {
            return Err(e);
        }
        let clock = Instant::now();
        let ratings = self.ratings(pool.collect()?, picked)?;
        times.reward += clock.elapsed();
        let groups = picked.iter().zip(answers.into_iter().zip(ratings));
        groups.map(|(&prompt, (answers, ratings))| self.group(prompt, answers, ratings)).collect()
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
        match self.engine {
            None => sample(policy, self.rollout, &self.environment, self.prompts, picked, seed, each),
            Some(engine) => {
                let vocabulary = policy.config().sizes.vocab;
                engine.sample(self.rollout, &self.environment, self.prompts, picked, (vocabulary, seed), each)
            }
        }
    }

    /// A completion's text, without what ends it.
    fn text(&self, answer: &Answer) -> Result<String, String> {
        match (&answer.text, &answer.end) {
            (Some(text), End::StopString(s)) => Ok(text.strip_suffix(s.as_str()).unwrap_or(text).to_owned()),
            _ => (self.environment.decode)(&answer.tokens),
        }
    }

    /// The ratings by group, completion and reward.
    fn ratings(
        &self,
        mut found: BTreeMap<(usize, usize), Result<Rating, String>>,
        picked: &[usize],
    ) -> Result<Vec<Vec<Vec<Rating>>>, TrainError> {
        let calls = picked.len() * self.rollout.group;
        let (mut without, mut last) = (vec![0usize; self.rewards.len()], None);
        let mut of = |completion: usize| -> Vec<Rating> {
            let mut one = |reward: usize| {
                let rating = match found.remove(&(completion, reward)) {
                    Some(Ok(rating)) => rating,
                    Some(Err(problem)) => {
                        last = Some((completion, problem));
                        Rating { failure: Some(RatingFailure::Failed), ..Rating::default() }
                    }
                    None => Rating::default(),
                };
                without[reward] += usize::from(rating.failure.is_some());
                rating
            };
            let mut ratings: Vec<Rating> = (0..self.rewards.len()).map(&mut one).collect();
            settle(self.rewards, &mut ratings);
            ratings
        };
        let mut place = |p: usize| (0..self.rollout.group).map(|n| of(p * self.rollout.group + n)).collect();
        let ratings = (0..picked.len()).map(&mut place).collect();
        let most = self.rollout.rating.max_failed * calls as f64;
        let Some(reward) = without.iter().position(|n| *n as f64 > most) else { return Ok(ratings) };
        let (name, n) = (self.rewards.keys().nth(reward).map_or("", String::as_str), without[reward]);
        let limit = self.rollout.rating.timeout_s;
        let (at, said) = last.unwrap_or((0, format!("each took longer than rollout.rating.timeout_s, {limit} s")));
        let row = self.prompts[picked[at / self.rollout.group]].source.to_string();
        let share = "more than the share that rollout.rating.max_failed allows";
        Err(TrainError::Reward {
            row,
            problem: format!("`{name}` has no result for {n} of {calls} completions, {share}: {said}"),
        })
    }

    fn group(&self, prompt: usize, answers: Vec<Answer>, ratings: Vec<Vec<Rating>>) -> Result<Group, TrainError> {
        let sums = self.table(&ratings)?.sums();
        Ok(Group { prompt, answers, ratings, sums })
    }

    fn table(&self, ratings: &[Vec<Rating>]) -> Result<RewardTable, TrainError> {
        let weights: Vec<f64> = self.rewards.values().map(|r| r.weight).collect();
        // a sum without a part that should be there would say something else: such a completion has none
        let lacks = |row: &[Rating]| row.iter().zip(&weights).any(|(r, w)| r.failure.is_some() && *w != 0.0);
        let row = |row: &Vec<Rating>| {
            let lacks = lacks(row);
            row.iter().map(|r| r.score.filter(|_| !lacks).unwrap_or(f64::NAN)).collect::<Vec<f64>>()
        };
        let scores: Vec<f64> = ratings.iter().flat_map(row).collect();
        Ok(RewardTable::new(&scores, &weights)?)
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
        let (old, reference, values, returns, credit) = (None, None, None, None, None);
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
            credit,
        }))
    }
}

/// Whether all rewards of a group that are there are equal.
fn is_flat(sums: &[f64]) -> Result<bool, TrainError> {
    Ok(dynamic_sampling(sums, &Groups::of_size(sums.len(), sums.len())?)?.dropped == 1)
}
