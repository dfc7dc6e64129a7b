//! Stages that learn a loss on rows which they make of their own completions.
use super::gather::Group;
use super::options::RolloutOptions;
use super::rewards::{WeightedReward, rewards_problem};
use crate::error::TrainError;
use crate::rows::{RowKind, Rows};
use crate::stage::Stage;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tropism_data::tokens::{TokenPair, TokenSample};
use tropism_lm::Answer;
use tropism_objectives::Objective;

use super::gather::PromptRow;

/// A stage that samples completions, rates them, makes rows of them, and learns from these by a loss on rows.
///
/// | rows of the loss | made of a group |
/// |---|---|
/// | pairs | the best against the worst by reward; nothing of a group whose rewards are all equal |
/// | pairs, for a loss that reads `policy_sample_chosen` | each completion of the policy against one of the reference, the better one chosen; ties left out |
/// | single completions with a verdict | all of them, desirable where the reward is above the group's mean |
/// | single completions | the `best` of them by reward |
///
/// A pair brings the columns `score_gap`, `win_rate/chosen` and `win_rate/rejected` (the share of the group's other completions
/// that one is better than, ties by half), and `policy_sample_chosen` where a side is the reference's. One step of the stage is one
/// rollout of `batch_size` prompts and one update. Log-probabilities in the loss are those of the model itself, whatever the
/// temperature of the rollout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FreshOptions {
    /// the loss and its options
    pub objective: Objective,
    /// how completions are sampled
    #[serde(default)]
    pub rollout: RolloutOptions,
    /// what completions are rated by; the reward is the weighted sum
    pub rewards: BTreeMap<String, WeightedReward>,
    /// completions of a group that a loss on single ones learns from
    #[serde(default = "one")]
    pub best: usize,
    /// after this many steps, and each time again, the policy as it then is becomes the reference; 0: the reference stays
    #[serde(default)]
    pub reference_every: usize,
}

fn one() -> usize {
    1
}

/// The column that asks for completions of the reference.
const POLICY_CHOSEN: &str = "policy_sample_chosen";

impl FreshOptions {
    /// A loss with one reward and the defaults of a recipe.
    pub fn new(objective: Objective, reward: impl Into<String>, function: WeightedReward) -> Self {
        let rewards = BTreeMap::from([(reward.into(), function)]);
        FreshOptions { objective, rollout: RolloutOptions::default(), rewards, best: 1, reference_every: 0 }
    }

    /// Whether pairs have a side of the reference's.
    pub(crate) fn against_reference(&self) -> bool {
        self.objective.columns().iter().any(|c| c.name == POLICY_CHOSEN)
    }

    /// Rows of the groups; `others` are the reference's completions of the same prompts, rated the same way.
    pub(crate) fn rows(&self, prompts: &[PromptRow], groups: &[Group], others: &[Group]) -> Rows {
        match RowKind::of(&self.objective) {
            Some(RowKind::Pairs) if self.against_reference() => {
                let both = groups.iter().zip(others);
                Rows::Pairs(both.flat_map(|(ours, theirs)| against(&prompts[ours.prompt], ours, theirs)).collect())
            }
            Some(RowKind::Pairs) => Rows::Pairs(groups.iter().filter_map(|g| extremes(&prompts[g.prompt], g)).collect()),
            Some(RowKind::Unpaired) => Rows::Unpaired(groups.iter().flat_map(|g| judged(&prompts[g.prompt], g)).collect()),
            _ => Rows::Samples(groups.iter().flat_map(|g| best(&prompts[g.prompt], g, self.best)).collect()),
        }
    }
}

fn sample(prompt: &PromptRow, answer: &Answer) -> TokenSample {
    TokenSample { source: prompt.source.clone(), prompt: prompt.tokens.clone(), completion: answer.tokens.clone() }
}

/// Completions with a reward, best first; equal ones in the order in which they were sampled.
fn ranked(group: &Group) -> Vec<usize> {
    let mut order: Vec<usize> = (0..group.sums.len()).filter(|&i| !group.sums[i].is_nan()).collect();
    order.sort_by(|&a, &b| group.sums[b].total_cmp(&group.sums[a]));
    order
}

/// The share of the others that a completion is better than.
fn win_rate(group: &Group, one: usize) -> f64 {
    let others: Vec<f64> =
        (0..group.sums.len()).filter(|&i| i != one && !group.sums[i].is_nan()).map(|i| group.sums[i]).collect();
    let wins = others.iter().map(|r| {
        if group.sums[one] > *r {
            1.0
        } else if group.sums[one] == *r {
            0.5
        } else {
            0.0
        }
    });
    wins.sum::<f64>() / others.len().max(1) as f64
}

fn pair(prompt: &PromptRow, chosen: &Answer, rejected: &Answer, numbers: &[(&str, f64)]) -> TokenPair {
    TokenPair {
        source: prompt.source.clone(),
        prompt: prompt.tokens.clone(),
        chosen: chosen.tokens.clone(),
        rejected: rejected.tokens.clone(),
        rejected_prompt: None,
        numbers: numbers.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect(),
    }
}

/// The best against the worst.
fn extremes(prompt: &PromptRow, group: &Group) -> Option<TokenPair> {
    let order = ranked(group);
    let (&won, &lost) = (order.first()?, order.last()?);
    let gap = group.sums[won] - group.sums[lost];
    let rates = [("win_rate/chosen", win_rate(group, won)), ("win_rate/rejected", win_rate(group, lost))];
    let numbers = [("score_gap", gap), rates[0], rates[1]];
    (gap > 0.0).then(|| pair(prompt, &group.answers[won], &group.answers[lost], &numbers))
}

/// Each completion of the policy against one of the reference.
fn against(prompt: &PromptRow, ours: &Group, theirs: &Group) -> Vec<TokenPair> {
    let versus = |i: usize| {
        let gap = ours.sums[i] - theirs.sums[i];
        let (a, b) = (&ours.answers[i], &theirs.answers[i]);
        let won = gap > 0.0;
        let numbers = [("score_gap", gap.abs()), (POLICY_CHOSEN, f64::from(u8::from(won)))];
        let (chosen, rejected) = if won { (a, b) } else { (b, a) };
        (gap.abs() > 0.0).then(|| pair(prompt, chosen, rejected, &numbers))
    };
    (0..ours.answers.len().min(theirs.answers.len())).filter_map(versus).collect()
}

/// All completions, desirable above the mean of a group whose rewards differ.
fn judged(prompt: &PromptRow, group: &Group) -> Vec<(TokenSample, bool)> {
    let order = ranked(group);
    let mean = order.iter().map(|&i| group.sums[i]).sum::<f64>() / order.len().max(1) as f64;
    let differ = order.iter().any(|&i| group.sums[i] != group.sums[order[0]]);
    let kept = order.iter().filter(|_| differ);
    kept.map(|&i| (sample(prompt, &group.answers[i]), group.sums[i] > mean)).collect()
}

/// The best of a group.
fn best(prompt: &PromptRow, group: &Group, n: usize) -> Vec<TokenSample> {
    ranked(group).into_iter().take(n).map(|i| sample(prompt, &group.answers[i])).collect()
}

impl Stage<FreshOptions> {
    /// Checks every option.
    ///
    /// # Errors
    /// Names the stage, the option and what would do.
    pub fn check(&self) -> Result<(), TrainError> {
        let o = &self.objective;
        o.objective.check()?;
        self.check_shared((o.objective.name(), o.objective.needs_reference() || o.against_reference()))?;
        let refuse = |(key, problem)| Err(TrainError::Config { stage: self.name.clone(), key, problem });
        if let Some(found) = o.rollout.problem().or_else(|| rewards_problem(&o.rewards)) {
            return refuse(found);
        }
        let name = o.objective.name();
        let Some(kind) = RowKind::of(&o.objective) else {
            let input = o.objective.input();
            return refuse(("objective", format!("is {name}, which reads {input}; stages cannot make such rows yet")));
        };
        if kind != RowKind::Samples && !o.against_reference() && o.rollout.group < 2 {
            return refuse(("rollout.group", format!("is {}, but rows of {name} compare completions", o.rollout.group)));
        }
        if o.rollout.engine.is_some() && o.against_reference() {
            let problem = format!("is set, but {name} also samples from the reference, which no server holds; remove it");
            return refuse(("rollout.engine", problem));
        }
        if o.best == 0 || o.best > o.rollout.group || (kind != RowKind::Samples && o.best != 1) {
            let problem =
                format!("is {}; it is for losses on single completions, from 1 to the group's {}", o.best, o.rollout.group);
            return refuse(("best", problem));
        }
        if o.reference_every > 0 && !(o.objective.needs_reference() || o.against_reference()) {
            return refuse(("reference_every", format!("is set, but {name} reads no reference; remove it")));
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tropism_data::record::Source;
    use tropism_lm::End;
    use tropism_objectives::{Dpo, Kto, Sft, Xpo};

    fn group(sums: &[f64]) -> Group {
        let answer = |i: usize| Answer {
            tokens: vec![i as u32],
            end: End::Length,
            model_logps: vec![-1.0],
            sampling_logps: vec![-1.0],
            text: None,
        };
        Group { prompt: 0, answers: (0..sums.len()).map(answer).collect(), ratings: vec![], sums: sums.to_vec() }
    }

    fn rows(objective: Objective, best: usize, ours: &[f64], theirs: &[f64]) -> Rows {
        let prompt = PromptRow { source: Source::row("p", 1), tokens: vec![9], text: String::new(), truth: None };
        let function = toml::from_str("function = { type = 'world' }").unwrap();
        let options = FreshOptions { best, ..FreshOptions::new(objective, "r", function) };
        options.rows(&[prompt], &[group(ours)], &[group(theirs)])
    }

    #[test]
    fn pairs_are_the_best_against_the_worst() {
        let Rows::Pairs(pairs) = rows(Dpo::default().into(), 1, &[0.5, 2.0, f64::NAN, 0.0, 2.0], &[]) else { panic!() };
        assert_eq!((pairs[0].chosen.as_slice(), pairs[0].rejected.as_slice()), ([1].as_slice(), [3].as_slice()));
        assert_eq!(pairs[0].numbers["score_gap"], 2.0);
        // better than two of three others, and equal to one; better than none
        assert_eq!((pairs[0].numbers["win_rate/chosen"], pairs[0].numbers["win_rate/rejected"]), (2.5 / 3.0, 0.0));
        assert!(rows(Dpo::default().into(), 1, &[1.0, 1.0], &[]).is_empty());
        assert!(rows(Dpo::default().into(), 1, &[f64::NAN, 1.0], &[]).is_empty());
    }

    #[test]
    fn a_loss_that_explores_gets_the_reference_s_completions() {
        let Rows::Pairs(pairs) = rows(Xpo::default().into(), 1, &[1.0, 0.0, 1.0], &[0.0, 1.0, 1.0]) else { panic!() };
        assert_eq!(pairs.len(), 2);
        assert_eq!((pairs[0].numbers[POLICY_CHOSEN], pairs[1].numbers[POLICY_CHOSEN]), (1.0, 0.0));
    }

    #[test]
    fn single_completions_are_the_best_or_judged_against_the_mean() {
        let Rows::Samples(samples) = rows(Sft::default().into(), 2, &[0.0, 3.0, 1.0], &[]) else { panic!() };
        assert_eq!(samples.iter().map(|s| s.completion[0]).collect::<Vec<_>>(), [1, 2]);
        let Rows::Unpaired(all) = rows(Kto::default().into(), 1, &[0.0, 3.0, 1.0], &[]) else { panic!() };
        assert_eq!(
            all.iter().map(|(s, good)| (s.completion[0], *good)).collect::<Vec<_>>(),
            [(1, true), (2, false), (0, false)]
        );
        assert!(rows(Kto::default().into(), 1, &[1.0, 1.0], &[]).is_empty());
    }
}
