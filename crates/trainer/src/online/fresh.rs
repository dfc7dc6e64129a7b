//! Stages that learn a loss on rows which they make of their own completions.
use super::directions::Directions;
use super::fresh_rows::POLICY_CHOSEN;
use super::options::RolloutOptions;
use super::replay::ReplayOptions;
use super::rewards::{Implicit, RewardFunction, WeightedReward, rewards_problem};
use crate::error::TrainError;
use crate::rows::RowKind;
use crate::stage::Stage;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tropism_objectives::Objective;

/// A stage that samples completions, rates them, makes rows of them, and learns from these by a loss on rows.
///
/// | rows of the loss | made of a group |
/// |---|---|
/// | pairs | as `pairs` says: the best against the worst by reward, or all that differ enough |
/// | pairs, for a loss that reads `policy_sample_chosen` | each completion of the policy against one of the reference, the better one chosen; ties left out |
/// | pairs, for a loss that reads `objective` | as pairs, once by each of the rewards with a weight; the reward's place among these is the objective |
/// | pairs with a third completion (SELM) | of each completion of the reference and all others the best and the worst, and itself as third |
/// | single completions with a verdict | all of them, desirable where the reward is above the group's mean |
/// | single completions | the `best` of them by reward |
///
/// Groups are never split, and one whose rewards are all equal makes no pair; the figures `frac_reward_zero_std` and `rows` count
/// both. With `data_completions` the prompts are those of the data's pairs, and both sides of the pair join the group; SELM then
/// ranks the data's two and the reference's, and the policy does not sample.
///
/// A pair brings the columns `score_gap`, `win_rate/chosen` and `win_rate/rejected` (the share of the policy's other completions
/// that one is better than, ties by half), and `policy_sample_chosen` where a side is the reference's. One step of the stage is one
/// rollout of `batch_size` prompts and one update. Where the reward is a judge's alone, it is the win rate itself. Log-probabilities in the loss are those of the model itself, whatever the
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
    /// which completions of a group make pairs
    #[serde(default)]
    pub pairs: PairRule,
    /// completions of a group that a loss on single ones learns from
    #[serde(default = "one")]
    pub best: usize,
    /// sample from the prompts of the data's pairs, whose sides join each group
    #[serde(default)]
    pub data_completions: bool,
    /// an output head for each reward, for a loss whose pairs are labelled by one of them (MAH-DPO)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heads: Option<HeadOptions>,
    /// directions of two rewards that the prompts tell
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directions: Option<Directions>,
    /// after this many steps, and each time again, the policy as it then is becomes the reference; 0: the reference stays
    #[serde(default)]
    pub reference_every: usize,
    /// mix pairs of earlier rounds into each update
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<ReplayOptions>,
}

/// Heads of their own for several objectives. The policy samples by the even mix of all heads; the reference is the model that the
/// stage began with, whose one head is every head's reference.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HeadOptions {
    /// deviation of the normal noise on the copies of the output projection that the heads begin as
    pub noise: f64,
}

impl Default for HeadOptions {
    fn default() -> Self {
        HeadOptions { noise: 1e-3 }
    }
}

/// Which completions of a group make pairs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PairRule {
    /// one pair of a group, or all
    pub choose: Choose,
    /// least difference of the rewards; whatever it is, equal rewards make no pair
    pub margin: f64,
}

/// The pairs of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choose {
    /// the best against the worst
    #[default]
    BestWorst,
    /// every completion against every worse one
    All,
}

impl PairRule {
    pub(crate) fn holds(&self, gap: f64) -> bool {
        gap > 0.0 && gap >= self.margin
    }
}

fn one() -> usize {
    1
}

/// The column that says which reward a pair is labelled by.
pub(crate) const OBJECTIVE: &str = "objective";

impl FreshOptions {
    /// A loss with one reward and the defaults of a recipe.
    pub fn new(objective: Objective, reward: impl Into<String>, function: WeightedReward) -> Self {
        FreshOptions {
            objective,
            rollout: RolloutOptions::default(),
            rewards: BTreeMap::from([(reward.into(), function)]),
            pairs: PairRule::default(),
            best: 1,
            data_completions: false,
            heads: None,
            directions: None,
            reference_every: 0,
            replay: None,
        }
    }

    fn reads(&self, column: &str) -> bool {
        self.objective.columns().iter().any(|c| c.name == column)
    }

    /// Whether pairs have a side of the reference's.
    pub(crate) fn against_reference(&self) -> bool {
        self.reads(POLICY_CHOSEN)
    }

    /// Whether pairs are made by each reward.
    pub(crate) fn by_aspect(&self) -> bool {
        self.reads(OBJECTIVE)
    }

    /// Name and weight of the rewards that pairs are labelled by, with their places among all rewards.
    pub fn aspects(&self) -> impl Iterator<Item = (usize, &String, f64)> {
        let all = self.rewards.iter().enumerate();
        all.filter(|(_, (_, r))| r.weight != 0.0).map(|(place, (name, r))| (place, name, r.weight))
    }

    /// Whether the reward is a judge's alone, and so the share of the others that a completion is better than.
    pub(crate) fn by_judge(&self) -> bool {
        let mut all = self.rewards.values().filter(|r| r.weight != 0.0);
        all.next().is_some_and(|r| r.function.compares() && r.weight == 1.0) && all.next().is_none()
    }

    /// Places and options of the rewards that are the policy's own.
    pub(crate) fn own_rewards(&self) -> impl Iterator<Item = (usize, &Implicit)> {
        self.rewards.values().enumerate().filter_map(|(place, r)| match &r.function {
            RewardFunction::Implicit(own) => Some((place, own)),
            _ => None,
        })
    }

    fn kind(&self) -> Option<RowKind> {
        RowKind::of(&self.objective)
    }

    /// Whether the reference samples.
    pub(crate) fn reference_samples(&self) -> bool {
        self.against_reference() || self.kind() == Some(RowKind::Triples)
    }

    /// Whether the policy samples.
    pub(crate) fn policy_samples(&self) -> bool {
        !(self.kind() == Some(RowKind::Triples) && self.data_completions)
    }

    /// Whether a reference model is read, by the loss or to sample from.
    pub fn needs_reference(&self) -> bool {
        self.objective.needs_reference() || self.reference_samples() || self.own_rewards().next().is_some()
    }
}

impl Stage<FreshOptions> {
    /// Checks every option.
    ///
    /// # Errors
    /// Names the stage, the option and what would do.
    pub fn check(&self) -> Result<(), TrainError> {
        let o = &self.objective;
        o.objective.check()?;
        self.check_shared((o.objective.name(), o.needs_reference()))?;
        let part = [("freeze", !self.freeze.is_empty()), ("lora", self.lora.is_some())].into_iter().find(|p| p.1);
        if let (Some(_), Some((key, _))) = (&o.heads, part) {
            let problem = "is set beside `heads`, which train the whole model; remove one of the two".to_owned();
            return Err(TrainError::Config { stage: self.name.clone(), key, problem });
        }
        let found = o.rollout.problem().or_else(|| rewards_problem(&o.rewards)).or_else(|| o.problem());
        match found {
            None => Ok(()),
            Some((key, problem)) => Err(TrainError::Config { stage: self.name.clone(), key, problem }),
        }
    }
}

impl FreshOptions {
    /// What is wrong with the options: key, problem.
    fn problem(&self) -> Option<(&'static str, String)> {
        let (name, group) = (self.objective.name(), self.rollout.group);
        let known = self.kind().filter(|kind| match kind {
            RowKind::Triples => matches!(self.objective, Objective::Selm(_)),
            RowKind::Revisions => false,
            _ => true,
        });
        let Some(kind) = known else {
            let input = self.objective.input();
            return Some(("objective", format!("is {name}, which reads {input}; stages cannot make such rows yet")));
        };
        if self.rollout.turn_tokens.is_some() && matches!(kind, RowKind::Triples | RowKind::Revisions) {
            let problem = format!(
                "is set, but rows of {name} are not made of episodes yet; take a loss on pairs or on single completions"
            );
            return Some(("rollout.turn_tokens", problem));
        }
        if self.rollout.turn_tokens.is_some() && self.data_completions {
            return Some(("data_completions", "is set, but completions of the data are no episodes; remove it".into()));
        }
        let compares = matches!(kind, RowKind::Pairs | RowKind::Unpaired) && !self.against_reference();
        if compares && group < 2 && !self.data_completions {
            return Some(("rollout.group", format!("is {group}, but rows of {name} compare completions")));
        }
        let single = kind == RowKind::Samples;
        if self.best == 0 || self.best > group || (!single && self.best != 1) {
            let problem = format!("is {}; it is for losses on single completions, from 1 to the group's {group}", self.best);
            return Some(("best", problem));
        }
        if self.reference_every > 0 && !self.needs_reference() {
            return Some(("reference_every", format!("is set, but {name} reads no reference; remove it")));
        }
        if self.rollout.engine.is_some() && self.reference_samples() {
            let problem = format!("is set, but {name} also samples from the reference, which no server holds; remove it");
            return Some(("rollout.engine", problem));
        }
        let judged = self.rewards.values().any(|r| r.function.compares() && r.weight != 0.0);
        if judged && (self.reference_samples() || self.data_completions || group < 2) {
            let problem = "has a judge, who compares the policy's completions of a group with each other; here there is none, or only \
                           one, or others beside them";
            return Some(("rewards", problem.into()));
        }
        let asked = self.rewards.iter().find(|(_, r)| matches!(r.function, RewardFunction::Judge(_)));
        if let (Some((name, _)), true) = (asked, self.directions.is_some() || self.heads.is_some()) {
            let problem = format!(
                "has an entry `{name}` of a judge, who is not asked about the held-out answers that directions and heads are measured by"
            );
            return Some(("rewards", problem));
        }
        if self.directions.is_some() && self.data_completions {
            return Some((
                "directions",
                "is set beside `data_completions`, whose prompts tell none; remove one of the two".into(),
            ));
        }
        if let Some(heads) = &self.heads {
            if !self.by_aspect() {
                return Some((
                    "heads",
                    format!("is set, but pairs of {name} have no objective; remove it, or take mah_dpo"),
                ));
            }
            if !(heads.noise >= 0.0 && heads.noise.is_finite()) {
                return Some(("heads.noise", format!("is {}, it must be 0 or more", heads.noise)));
            }
        }
        let told = self.directions.as_ref().and_then(|d| d.problem(&self.rewards));
        told.or_else(|| self.pairs_problem(kind)).or_else(|| self.replay_problem())
    }

    fn pairs_problem(&self, kind: RowKind) -> Option<(&'static str, String)> {
        let name = self.objective.name();
        if !(self.pairs.margin >= 0.0 && self.pairs.margin.is_finite()) {
            return Some(("pairs.margin", format!("is {}, it must be 0 or more", self.pairs.margin)));
        }
        let made = match kind {
            RowKind::Pairs => !self.against_reference(),
            RowKind::Triples => self.pairs.choose == Choose::BestWorst,
            _ => false,
        };
        if !made && self.pairs != PairRule::default() {
            return Some(("pairs", format!("is set, but rows of {name} are not made by it; remove it")));
        }
        if self.data_completions && self.against_reference() {
            let problem = format!("is set, but {name} puts the policy's completions against the reference's; remove it");
            return Some(("data_completions", problem));
        }
        None
    }
}
