//! Whether what a stage samples can be rated.
use super::gather::{Environment, PromptRow};
use super::options::RolloutOptions;
use super::rewards::{Completion, RewardFunction, WeightedReward};
use crate::error::TrainError;
use crate::stage::Stage;
use std::collections::BTreeMap;

impl<O> Stage<O> {
    /// Whether the reward models that the rewards ask for are at hand.
    pub(crate) fn check_models(
        &self,
        rewards: &BTreeMap<String, WeightedReward>,
        environment: &Environment,
    ) -> Result<(), TrainError> {
        match environment.models_problem(rewards) {
            None => Ok(()),
            Some((name, problem)) => {
                let problem = format!("has an entry `{name}` that cannot be computed: {problem}");
                Err(TrainError::Config { stage: self.name.clone(), key: "rewards", problem })
            }
        }
    }

    /// Whether there are prompts, and these rewards can rate their completions.
    pub(crate) fn check_rewards(
        &self,
        (rollout, rewards): (&RolloutOptions, &BTreeMap<String, WeightedReward>),
        prompts: &[PromptRow],
        environment: &Environment,
    ) -> Result<(), TrainError> {
        let refuse = |key, problem: String| Err(TrainError::Config { stage: self.name.clone(), key, problem });
        if prompts.is_empty() {
            return refuse("rollout", "has no prompts to sample from; look at the audit of the data".into());
        }
        self.check_episodes(rollout, prompts, environment)?;
        for (name, reward) in rewards {
            let f = &reward.function;
            if f.reads_world() && environment.world.is_none() {
                return refuse("rewards", format!("has an entry `{name}` of the embedded world, but the data are a file's"));
            }
            if let (RewardFunction::Aspect(a), Some(world)) = (f, environment.reward())
                && !world.aspects().contains(&a.aspect.as_str())
            {
                let known = world.aspects().join(", ");
                let problem = format!(
                    "has an entry `{name}` of an aspect `{}`, which the world does not have; it has {known}",
                    a.aspect
                );
                return refuse("rewards", problem);
            }
            if !f.reads_truth() {
                continue;
            }
            for row in prompts {
                let problem = match &row.truth {
                    None => "has no truth".to_owned(),
                    Some(truth) => match f.rate(&probe(row, truth), environment.reward()) {
                        Ok(_) => continue,
                        Err(e) => e.to_string(),
                    },
                };
                return refuse(
                    "rewards",
                    format!("has an entry `{name}` that compares with a truth; {}: {problem}", row.source),
                );
            }
        }
        Ok(())
    }
}

fn probe<'a>(row: &'a PromptRow, truth: &'a str) -> Completion<'a> {
    Completion { prompt: &row.text, truth: Some(truth), text: "", tokens: 1, turns: &[] }
}
