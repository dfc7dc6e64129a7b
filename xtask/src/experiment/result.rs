//! What a stage leaves behind, and the summary of a run.
use crate::config::Experiment;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use tropism_evaluation::Figure;
use tropism_rewards::Verdict;

/// A sampled answer to a held-out prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// index of the prompt
    pub prompt: usize,
    /// the text
    pub text: String,
    /// its tokens; of an episode with what the world said
    pub tokens: Vec<u32>,
    /// parts of the tokens that the world said
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub given: Vec<Range<usize>>,
    /// the turns of an episode
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub turns: Vec<String>,
    /// whether it ended by itself
    pub finished: bool,
    /// its exact reward, in a world
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reward: Option<f64>,
    /// the verdict of the stages' verifier
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
}

impl Answer {
    /// Number of tokens that the policy wrote.
    pub fn written(&self) -> usize {
        self.tokens.len().saturating_sub(self.given.iter().map(Range::len).sum())
    }

    /// The tokens that the policy wrote.
    pub fn own_tokens(&self) -> Vec<u32> {
        let own = |at: &usize| !self.given.iter().any(|part| part.contains(at));
        (0..self.tokens.len()).filter(own).map(|at| self.tokens[at]).collect()
    }

    /// The text that the policy wrote: of an episode its turns, each on lines of its own.
    pub fn words(&self) -> Cow<'_, str> {
        if self.turns.is_empty() { Cow::Borrowed(&self.text) } else { Cow::Owned(self.turns.join("\n")) }
    }
}

/// A held-out prompt: one line of `prompts.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptRow {
    /// its index, as answers name it
    pub prompt: usize,
    /// as people read it
    pub text: String,
}

/// A held-out pair as a stage's model and its reference score it: one line of `stages/NAME/pairs.jsonl`. Log-probabilities
/// are sums over the completion, in nats.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairRow {
    /// where the pair comes from
    pub source: String,
    /// of the preferred completion
    pub chosen_logps: f64,
    /// of the other
    pub rejected_logps: f64,
    /// tokens of the preferred completion
    pub chosen_tokens: usize,
    /// tokens of the other
    pub rejected_tokens: usize,
    /// of the preferred completion under the model that the stage's rewards are relative to
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ref_chosen_logps: Option<f64>,
    /// the same of the other
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ref_rejected_logps: Option<f64>,
    /// reward of the preferred completion by the stage's objective
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen_reward: Option<f64>,
    /// the same of the other
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected_reward: Option<f64>,
}

/// A finished stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageResult {
    /// its name; `model` for the start
    pub name: String,
    /// its method; `start` for the model that the run began with
    pub method: String,
    /// seconds of training
    pub seconds: f64,
    /// optimiser steps
    pub steps: usize,
    /// tokens computed in training
    pub tokens: usize,
    /// held-out metrics
    pub metrics: BTreeMap<String, Figure>,
    /// answers to the held-out prompts
    pub answers: Vec<Answer>,
    /// further figures by name, a value for each held-out prompt
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, Vec<f64>>,
}

/// `summary.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// name of the experiment
    pub experiment: String,
    /// its seed
    pub seed: u64,
    /// held-out metrics after every stage, the model at the start included
    pub stages: Vec<StageSummary>,
    /// metrics of the last stage
    pub r#final: BTreeMap<String, Figure>,
    /// stages against baselines, as the configuration asks for
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub comparisons: Vec<ComparisonResult>,
}

/// A stage against a baseline, from their answers to the same held-out prompts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComparisonResult {
    /// the stage
    pub stage: String,
    /// what it is compared with
    pub baseline: String,
    /// win rate by the exact reward, and the stage's mean minus the baseline's of accuracy, reward and tokens, where answers
    /// have them
    pub metrics: BTreeMap<String, Figure>,
}

/// One entry of `summary.json`'s stages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageSummary {
    /// its name
    pub name: String,
    /// value, interval and count by metric
    pub metrics: BTreeMap<String, Figure>,
    /// seconds of training
    pub train_runtime: f64,
    /// optimiser steps
    pub steps: usize,
    /// tokens per second of training
    pub train_tokens_per_second: f64,
}

impl Summary {
    /// Gathers the stages.
    pub fn new(config: &Experiment, results: &[StageResult], comparisons: &[ComparisonResult]) -> Self {
        let stage = |r: &StageResult| StageSummary {
            name: r.name.clone(),
            metrics: r.metrics.clone(),
            train_runtime: r.seconds,
            steps: r.steps,
            train_tokens_per_second: if r.seconds > 0.0 { r.tokens as f64 / r.seconds } else { 0.0 },
        };
        Summary {
            experiment: config.name.clone(),
            seed: config.seed,
            stages: results.iter().map(stage).collect(),
            r#final: results.last().map(|r| r.metrics.clone()).unwrap_or_default(),
            comparisons: comparisons.to_vec(),
        }
    }
}
