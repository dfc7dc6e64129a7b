//! The options of a stage that follows a policy gradient.
use super::advantages::{AdvantageOptions, RewardKl};
use super::engine::Engine;
#[cfg(doc)]
use super::episodes::Player;
use super::process::ProcessRewardOptions;
use super::rewards::{RewardFunction, WeightedReward, rewards_problem};
use super::shaping::TokenRewardOptions;
use super::workers::RatingOptions;
use crate::error::TrainError;
use crate::stage::Stage;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tropism_lm::Batching;
use tropism_policy_gradient::{Field, Method, Need, PolicyGradient};

/// A stage that samples completions with its own policy, rates them, and follows a policy gradient.
///
/// One step of the stage is one rollout with all its updates: `batch_size` prompts with a group of completions each,
/// `iterations` passes over them in `mini_batches` updates. `epochs` are passes over the prompts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyGradientOptions {
    /// the surrogate loss and its options, KL to the reference, sampler's correction and entropy among them
    pub loss: PolicyGradient,
    /// how completions are sampled
    #[serde(default)]
    pub rollout: RolloutOptions,
    /// what completions are rated by; the reward is the weighted sum
    pub rewards: BTreeMap<String, WeightedReward>,
    /// how rewards become advantages; what belongs to the loss when left out
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advantages: Option<AdvantageOptions>,
    /// KL to the reference in the reward
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reward_kl: Option<RewardKl>,
    /// rewards by token of a model that preference training made: RTO
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_rewards: Option<TokenRewardOptions>,
    /// rewards by step of a reward model that learns beside the policy: OPRL
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process_rewards: Option<ProcessRewardOptions>,
    /// weight of the world's rewards of single turns, which are paid at the last token of each turn, beside the completion's reward
    /// at its last one; for advantages that are made by token
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_rewards: Option<f64>,
    /// passes over the completions of a step
    #[serde(default = "one")]
    pub iterations: usize,
    /// updates of a pass; groups stay whole
    #[serde(default = "one")]
    pub mini_batches: usize,
    /// sample on in place of groups whose rewards are all equal
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dynamic_sampling: Option<DynamicSampling>,
    /// leave completions that the length limit cut out of the loss; their rewards still count in the advantages of others
    #[serde(default)]
    pub mask_truncated: bool,
}

fn one() -> usize {
    1
}

/// How completions are sampled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RolloutOptions {
    /// completions of each prompt
    pub group: usize,
    /// logits are divided by it, here and in the loss
    pub temperature: f64,
    /// longest completion in tokens; of several turns, with what is said between them
    pub max_new_tokens: usize,
    /// most tokens of one turn in a world that answers back, where completions are episodes of several turns; see [`Player`]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turn_tokens: Option<usize>,
    /// texts that end a completion (of several turns: a turn), beside the tokens that do; their tokens stay in it, rewards do not see
    /// them
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// how many completions are written at a time, and what they may keep; changes no completion
    pub batching: Batching,
    /// who writes the completions; this program when left out
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<Engine>,
    /// threads that rate, and how long they may take
    pub rating: RatingOptions,
}

impl Default for RolloutOptions {
    fn default() -> Self {
        RolloutOptions {
            group: 8,
            temperature: 1.0,
            max_new_tokens: 64,
            turn_tokens: None,
            stop: vec![],
            batching: Batching::default(),
            engine: None,
            rating: RatingOptions::default(),
        }
    }
}

impl RolloutOptions {
    /// What is wrong with the options: key, problem.
    pub(crate) fn problem(&self) -> Option<(&'static str, String)> {
        if self.group == 0 {
            return Some(("rollout.group", "is 0, it must be at least 1".into()));
        }
        if !(self.temperature > 0.0 && self.temperature.is_finite()) {
            return Some(("rollout.temperature", format!("is {}, it must be above 0", self.temperature)));
        }
        if self.max_new_tokens == 0 {
            return Some(("rollout.max_new_tokens", "is 0, it must be at least 1".into()));
        }
        if self.turn_tokens == Some(0) {
            return Some(("rollout.turn_tokens", "is 0, it must be at least 1, or be left out".into()));
        }
        if self.stop.iter().any(String::is_empty) {
            return Some((
                "rollout.stop",
                "holds an empty text, which would end every completion at once; leave it out".into(),
            ));
        }
        if let Some(problem) = self.rating.problem() {
            return Some(("rollout.rating", problem));
        }
        if let Some(problem) = self.engine.as_ref().and_then(Engine::problem) {
            return Some(("rollout.engine", problem));
        }
        self.batching.check().err().map(|e| ("rollout.batching", format!("cannot be used: {e}")))
    }

    /// What has to be the same when a run goes on: everything but how rewards are waited for, and where a server stands.
    pub(crate) fn kept(&self) -> Self {
        let engine = self.engine.as_ref().map(Engine::kept);
        RolloutOptions { engine, rating: RatingOptions::default(), ..self.clone() }
    }
}

/// DAPO's dynamic sampling.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DynamicSampling {
    /// most rounds of sampling in a step; after them the step goes on with the groups that it has
    pub max_rounds: usize,
}

impl Default for DynamicSampling {
    fn default() -> Self {
        DynamicSampling { max_rounds: 10 }
    }
}

impl PolicyGradientOptions {
    /// A loss with one reward and the defaults of a recipe.
    pub fn new(loss: impl Into<PolicyGradient>, reward: impl Into<String>, function: WeightedReward) -> Self {
        PolicyGradientOptions {
            loss: loss.into(),
            rollout: RolloutOptions::default(),
            rewards: BTreeMap::from([(reward.into(), function)]),
            advantages: None,
            reward_kl: None,
            token_rewards: None,
            process_rewards: None,
            turn_rewards: None,
            iterations: 1,
            mini_batches: 1,
            dynamic_sampling: None,
            mask_truncated: false,
        }
    }

    /// Updates of a step.
    pub fn updates(&self) -> usize {
        self.iterations * self.mini_batches
    }

    pub(crate) fn need(&self, field: Field) -> Option<Need> {
        self.loss.reads().into_iter().find(|(f, _)| *f == field).map(|(_, need)| need)
    }

    pub(crate) fn requires(&self, field: Field) -> bool {
        self.need(field) == Some(Need::Required)
    }

    /// Whether a reference model is read, by the loss or by the reward.
    pub fn needs_reference(&self) -> bool {
        self.requires(Field::Reference) || self.reward_kl.is_some() || self.token_rewards.is_some()
    }

    /// How rewards become advantages, where the loss reads advantages.
    pub fn credit(&self) -> Option<AdvantageOptions> {
        let own = || AdvantageOptions::of(&self.loss);
        self.need(Field::Advantages).map(|_| self.advantages.clone().unwrap_or_else(own))
    }

    /// Whether the world's rewards of turns are read.
    pub(crate) fn reads_turn_rewards(&self) -> bool {
        self.turn_rewards.is_some() || self.advantages.as_ref().is_some_and(AdvantageOptions::reads_turns)
    }

    /// Whether a critic is trained.
    pub fn has_critic(&self) -> bool {
        self.requires(Field::Critic)
    }
}

impl Stage<PolicyGradientOptions> {
    /// Checks every option.
    ///
    /// # Errors
    /// Names the stage, the option and what would do.
    pub fn check(&self) -> Result<(), TrainError> {
        let o = &self.objective;
        o.loss.check()?;
        self.check_shared((o.loss.name(), o.needs_reference()))?;
        match self.problem() {
            None => Ok(()),
            Some((key, problem)) => Err(TrainError::Config { stage: self.name.clone(), key, problem }),
        }
    }

    fn problem(&self) -> Option<(&'static str, String)> {
        let o = &self.objective;
        if let Some(found) = o.rollout.problem() {
            return Some(found);
        }
        if o.iterations == 0 {
            return Some(("iterations", "is 0, it must be at least 1".into()));
        }
        if o.mini_batches == 0 || o.mini_batches > self.batch_size {
            let most = self.batch_size;
            return Some(("mini_batches", format!("is {}; a step has {most} groups, which stay whole", o.mini_batches)));
        }
        if o.dynamic_sampling.as_ref().is_some_and(|d| d.max_rounds == 0) {
            return Some(("dynamic_sampling", "has max_rounds 0, it must be at least 1".into()));
        }
        o.rewards_problem().or_else(|| o.process_problem()).or_else(|| o.credit_problem())
    }
}

impl PolicyGradientOptions {
    fn rewards_problem(&self) -> Option<(&'static str, String)> {
        if let Some(found) = rewards_problem(&self.rewards) {
            return Some(found);
        }
        if let Some((name, _)) = self.rewards.iter().find(|(_, r)| matches!(r.function, RewardFunction::Implicit(_))) {
            let problem =
                format!("has an entry `{name}` of the policy's own, which only stages that make rows of samples can give");
            return Some(("rewards", problem));
        }
        let used = || self.rewards.iter().filter(|(_, r)| r.weight != 0.0);
        let verdict = |(_, r): (&String, &WeightedReward)| r.weight == 1.0 && r.function.is_verifier();
        if self.requires(Field::Rewards) && !(used().count() == 1 && used().all(verdict)) {
            let name = self.loss.name();
            let problem = format!(
                "are more than {name} can read: it puts right (1) against wrong (0) answers; give one verifier with weight 1, others weight 0"
            );
            return Some(("rewards", problem));
        }
        None
    }

    /// What is wrong with rewards by token or step.
    fn process_problem(&self) -> Option<(&'static str, String)> {
        if let Some(tokens) = &self.token_rewards {
            let refuse = |problem: &str| Some(("token_rewards", problem.to_owned()));
            if let Err(e) = tokens.rto.check() {
                return Some(("token_rewards", format!("cannot be used: {e}")));
            }
            if self.reward_kl.is_some() {
                return refuse("is set beside reward_kl, whose weight is rto.kl_weight here; remove reward_kl");
            }
            if !self.credit().is_some_and(|c| c.by_token()) {
                return refuse("is set, but advantages are made of whole completions; take ppo, or reinforce_plus_plus");
            }
        }
        if let Some(found) = self.turns_problem() {
            return Some(found);
        }
        let process = self.process_rewards.as_ref()?;
        if let Some(problem) = process.problem() {
            return Some(("process_rewards", problem));
        }
        let refuse = |problem: String| Some(("process_rewards", problem));
        let name = self.loss.name();
        if self.advantages.is_some() || self.reward_kl.is_some() || self.token_rewards.is_some() {
            return refuse(
                "makes the advantages; remove advantages, reward_kl and token_rewards, and take loss.kl for a KL".into(),
            );
        }
        if self.need(Field::Advantages).is_none() || self.has_critic() {
            return refuse(format!("gives advantages of steps, which {name} does not read, or trains a critic beside"));
        }
        (self.rollout.group < 2).then(|| ("rollout.group", "is 1, but process_rewards compares completions".to_owned()))
    }

    /// What is wrong with rewards of turns.
    fn turns_problem(&self) -> Option<(&'static str, String)> {
        let one_turn = self.rollout.turn_tokens.is_none();
        let mixes = self.advantages.as_ref().is_some_and(AdvantageOptions::reads_turns);
        if mixes && one_turn {
            return Some(("advantages", "is turn_mixture, but completions have one turn; set rollout.turn_tokens".into()));
        }
        if self.dynamic_sampling.is_some() && self.reads_turn_rewards() {
            let problem = "is set beside rewards of turns, which it does not look at: groups of equal outcomes would be left out \
                           though their turns differ; remove one of the two";
            return Some(("dynamic_sampling", problem.into()));
        }
        let refuse = |problem: &str| Some(("turn_rewards", problem.to_owned()));
        let weight = self.turn_rewards?;
        if mixes {
            return refuse("is set beside advantages of turn_mixture, which read the rewards of turns already; remove it");
        }
        if one_turn {
            return refuse("is set, but completions have one turn; set rollout.turn_tokens, or remove it");
        }
        if !weight.is_finite() || weight == 0.0 {
            return refuse("must be a finite weight other than 0, or be left out");
        }
        if self.token_rewards.is_some() {
            return refuse("is set beside token_rewards, which say all rewards of tokens; remove one of the two");
        }
        let by_token = self.credit().is_some_and(|c| c.by_token()) && self.process_rewards.is_none();
        (!by_token).then(|| {
            let problem = "is set, but advantages are not made of rewards by token; take ppo or reinforce_plus_plus, or \
                           advantages of turn_mixture";
            ("turn_rewards", problem.to_owned())
        })
    }

    fn credit_problem(&self) -> Option<(&'static str, String)> {
        if self.process_rewards.is_some() {
            return None;
        }
        let name = self.loss.name();
        let Some(credit) = self.credit() else {
            if self.advantages.is_some() {
                return Some(("advantages", format!("is set, but {name} reads none; remove it")));
            }
            let kl = self.reward_kl.is_some();
            return kl.then(|| ("reward_kl", format!("is set, but {name} reads verdicts, which it would blur; remove it")));
        };
        if let Err(problem) = credit.check() {
            return Some(("advantages", format!("cannot be used: {problem}")));
        }
        if self.has_critic() != credit.reads_values() {
            let problem = if self.has_critic() {
                format!(
                    "is {}, but {name} trains a critic, which only `gae` reads; set loss.value_coefficient to 0",
                    credit.name()
                )
            } else {
                format!("is gae, which reads a critic's values, and {name} trains no critic; take ppo")
            };
            return Some(("advantages", problem));
        }
        if credit.compares() && self.rollout.group < 2 {
            let problem = format!("is {}, but {} compares completions of one prompt", self.rollout.group, credit.name());
            return Some(("rollout.group", problem));
        }
        match &self.reward_kl {
            Some(_) if !credit.takes_penalty() => {
                Some(("reward_kl", format!("is set, but {} normalises each reward by itself; use loss.kl", credit.name())))
            }
            Some(kl) => kl.problem().map(|problem| ("reward_kl", problem)),
            None => None,
        }
    }
}
