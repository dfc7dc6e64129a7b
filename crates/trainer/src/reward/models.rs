//! Rewards that are scores of a reward model.
use super::score::RewardModel;
use crate::error::TrainError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use tropism_data::tokens::TokenSample;
use tropism_lm::Loaded;

/// The score of a reward model: one that an earlier stage of the run made, or one in a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelReward {
    /// an earlier `reward_model` stage of the run
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// the folder of a reward model with the tokens of this run's model
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// which of its heads; the only one when left out
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    /// take off the mean of the scores that it gave in training, and divide by their standard deviation
    pub normalize: bool,
}

impl ModelReward {
    pub(crate) fn check(&self) -> Result<(), String> {
        match (&self.stage, &self.folder) {
            (Some(_), None) | (None, Some(_)) => Ok(()),
            (None, None) => Err("names no model; set `stage` or `folder`".into()),
            (Some(_), Some(_)) => Err("names both a `stage` and a `folder`; remove one of the two".into()),
        }
    }

    /// What the model is found by among those at hand.
    pub fn key(&self) -> String {
        match (&self.stage, &self.folder) {
            (Some(stage), _) => format!("stage {stage}"),
            (None, folder) => format!("folder {}", folder.as_deref().unwrap_or(std::path::Path::new("")).display()),
        }
    }
}

/// The reward models that a run has at hand.
pub trait RewardModels: Sync {
    /// What keeps a reward from being computed, before anything is.
    ///
    /// # Errors
    /// No such model or head; no spread to normalise by.
    fn check(&self, reward: &ModelReward) -> Result<(), String>;

    /// The rewards of completions.
    ///
    /// # Errors
    /// As [`check`](Self::check) and [`RewardModel::scores`].
    fn rate(&self, reward: &ModelReward, samples: &[TokenSample]) -> Result<Vec<f64>, TrainError>;
}

/// Reward models in memory, by [`ModelReward::key`].
#[derive(Clone, Debug)]
pub struct LoadedModels {
    /// the models
    pub models: BTreeMap<String, RewardModel<Loaded, f32>>,
    /// most tokens computed at a time
    pub max_tokens: usize,
}

impl LoadedModels {
    fn find(&self, reward: &ModelReward) -> Result<(&RewardModel<Loaded, f32>, String), String> {
        let key = reward.key();
        let model = self.models.get(&key).ok_or_else(|| format!("the reward model of {key} is not at hand"))?;
        let head = model.head(reward.head.as_deref()).map_err(|e| format!("the reward model of {key} {e}"))?;
        let spread = model.card.scores.get(&head).filter(|s| s.std > 0.0);
        if reward.normalize && spread.is_none() {
            let problem = "knows no spread of its scores, which `normalize` needs; remove it";
            return Err(format!("the reward model of {key} {problem}"));
        }
        Ok((model, head))
    }
}

impl RewardModels for LoadedModels {
    fn check(&self, reward: &ModelReward) -> Result<(), String> {
        self.find(reward).map(|_| ())
    }

    fn rate(&self, reward: &ModelReward, samples: &[TokenSample]) -> Result<Vec<f64>, TrainError> {
        let row = || samples.first().map_or_else(String::new, |s| s.source.to_string());
        let (model, head) = self.find(reward).map_err(|problem| TrainError::Reward { row: row(), problem })?;
        let mut scores = model.scores(&head, samples, self.max_tokens)?;
        if let (true, Some(spread)) = (reward.normalize, model.card.scores.get(&head)) {
            scores.iter_mut().for_each(|s| *s = (*s - spread.mean) / spread.std);
        }
        Ok(scores)
    }
}
