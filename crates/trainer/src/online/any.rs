//! A stage of any kind, as a recipe names it.
use super::fresh::FreshOptions;
use super::options::{PolicyGradientOptions, RolloutOptions};
use super::rewards::WeightedReward;
use crate::distil::DistilOptions;
use crate::error::TrainError;
use crate::reward::RewardModelOptions;
use crate::rows::RowKind;
use crate::stage::{Precision, Stage};
use dfdx::prelude::{Cpu, Device};
use serde::de::{DeserializeOwned, Error as _};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use tropism_credit::AlignDistil;
use tropism_lm::{Decoder, Dims};
use tropism_objectives::Objective;
use tropism_ops::Scalar;

/// A stage of any kind. In a configuration file the kind is the key that its options stand under; everything else is the same
/// for all kinds.
///
/// | key | learns |
/// |---|---|
/// | `objective` | a loss on rows of the data |
/// | `policy_gradient` | from its own completions by a policy gradient |
/// | `online_preference` | a loss on pairs, or on completions with a verdict, made of its own completions |
/// | `rejection_sampling` | a loss on the best of its own completions |
/// | `reward_model` | to score completions, from pairs |
/// | `distil` | the distribution of a teacher that is made of two earlier models |
///
/// ```
/// use tropism_trainer::AnyStage;
///
/// let stage: AnyStage = toml::from_str(
///     "name = 'grpo'
///      learning_rate = 1e-4
///      [policy_gradient]
///      loss = { method = 'grpo' }
///      rewards.correct.function.type = 'correct'",
/// )?;
/// assert_eq!((stage.name(), stage.method()), ("grpo", "grpo"));
/// assert!(toml::from_str::<AnyStage>("name = 'x'\nlearning_rate = 1.0\npolicy_gradients = {}").is_err());
/// # Ok::<(), toml::de::Error>(())
/// ```
// a recipe holds a handful of them
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum AnyStage {
    /// learns from rows of the data
    Rows(Stage),
    /// learns from its own completions by a policy gradient
    PolicyGradient(Stage<PolicyGradientOptions>),
    /// learns from pairs, or completions with a verdict, that it makes of its own completions
    OnlinePreference(Stage<FreshOptions>),
    /// learns from the best of its own completions
    RejectionSampling(Stage<FreshOptions>),
    /// trains a reward model on pairs
    RewardModel(Stage<RewardModelOptions>),
    /// distils a teacher made of two earlier models
    Distil(Stage<DistilOptions>),
}

const ROWS: &str = "objective";
const POLICY_GRADIENT: &str = "policy_gradient";
const ONLINE_PREFERENCE: &str = "online_preference";
const REJECTION_SAMPLING: &str = "rejection_sampling";
const REWARD_MODEL: &str = "reward_model";
const DISTIL: &str = "distil";

/// The same expression for every kind.
macro_rules! each {
    ($any:expr, $stage:ident => $value:expr) => {
        match $any {
            AnyStage::Rows($stage) => $value,
            AnyStage::PolicyGradient($stage) => $value,
            AnyStage::OnlinePreference($stage) | AnyStage::RejectionSampling($stage) => $value,
            AnyStage::RewardModel($stage) => $value,
            AnyStage::Distil($stage) => $value,
        }
    };
}

/// The rewards of stages that rate nothing.
static UNRATED: BTreeMap<String, WeightedReward> = BTreeMap::new();

impl AnyStage {
    /// Its name.
    pub fn name(&self) -> &str {
        each!(self, s => &s.name)
    }

    /// Its method's name.
    pub fn method(&self) -> &'static str {
        match self {
            AnyStage::Rows(s) => s.objective.name(),
            AnyStage::PolicyGradient(s) => s.objective.loss.name(),
            AnyStage::OnlinePreference(s) | AnyStage::RejectionSampling(s) => s.objective.objective.name(),
            AnyStage::RewardModel(_) => REWARD_MODEL,
            AnyStage::Distil(_) => AlignDistil::NAME,
        }
    }

    /// What it learns from rows; nothing where it samples.
    pub fn objective(&self) -> Option<&Objective> {
        match self {
            AnyStage::Rows(s) => Some(&s.objective),
            _ => None,
        }
    }

    /// How it samples, and what it rates completions by; nothing where it does not sample.
    pub fn sampling(&self) -> Option<(&RolloutOptions, &BTreeMap<String, WeightedReward>)> {
        match self {
            AnyStage::Rows(_) | AnyStage::RewardModel(_) => None,
            AnyStage::Distil(s) => s.objective.rollout.as_ref().map(|r| (r, &UNRATED)),
            AnyStage::PolicyGradient(s) => Some((&s.objective.rollout, &s.objective.rewards)),
            AnyStage::OnlinePreference(s) | AnyStage::RejectionSampling(s) => {
                Some((&s.objective.rollout, &s.objective.rewards))
            }
        }
    }

    /// Names of the stages whose models it reads beside `init` and `reference`, with the options that name them.
    pub fn others(&self) -> Vec<(&'static str, &str)> {
        match self {
            AnyStage::PolicyGradient(s) => {
                s.objective.token_rewards.iter().map(|t| ("token_rewards.model", t.model.as_str())).collect()
            }
            AnyStage::Distil(s) => vec![("favoured", &s.objective.favoured), ("other", &s.objective.other)],
            _ => vec![],
        }
    }

    /// Whether it ends with a reward model in place of a language model.
    pub fn makes_reward_model(&self) -> bool {
        matches!(self, AnyStage::RewardModel(_))
    }

    /// Where its policy starts.
    pub fn init(&self) -> Option<&str> {
        each!(self, s => s.init.as_deref())
    }

    /// Its frozen model.
    pub fn reference(&self) -> Option<&str> {
        each!(self, s => s.reference.as_deref())
    }

    /// Its precision.
    pub fn precision(&self) -> Precision {
        each!(self, s => s.precision)
    }

    /// Numbers of its optimiser's moments.
    pub fn optimizer_state(&self) -> Precision {
        each!(self, s => s.optimizer_state)
    }

    /// Whether activations are computed again.
    pub fn gradient_checkpointing(&self) -> bool {
        each!(self, s => s.gradient_checkpointing)
    }

    /// Most tokens that it computes at a time.
    pub fn micro_batch_tokens_mut(&mut self) -> &mut usize {
        each!(self, s => &mut s.micro_batch_tokens)
    }

    /// Its steps over `rows` rows or prompts.
    pub fn steps(&self, rows: usize) -> usize {
        each!(self, s => s.steps(rows))
    }

    /// Checks every option.
    ///
    /// # Errors
    /// As [`Stage::check`].
    pub fn check(&self) -> Result<(), TrainError> {
        each!(self, s => s.check())?;
        let swaps = each!(self, s => s.swap_pairs);
        let refuse = |name: &str, key, problem: &str| {
            Err(TrainError::Config { stage: name.to_owned(), key, problem: problem.to_owned() })
        };
        if self.sampling().is_some() && each!(self, s => s.data_stage.is_some()) {
            return refuse(self.name(), "data_stage", "is set, but the stage samples its rows; remove it");
        }
        if self.sampling().is_none() && each!(self, s => s.stream.is_some()) {
            return refuse(self.name(), "stream", "is set, but the stage does not sample; remove it");
        }
        match self {
            AnyStage::OnlinePreference(s) if RowKind::of(&s.objective.objective) == Some(RowKind::Samples) => {
                refuse(&s.name, "online_preference", "has a loss on single completions; call it rejection_sampling")
            }
            AnyStage::RejectionSampling(s) if RowKind::of(&s.objective.objective) != Some(RowKind::Samples) => {
                refuse(&s.name, "rejection_sampling", "has a loss that compares completions; call it online_preference")
            }
            AnyStage::Rows(_) => Ok(()),
            other if swaps => refuse(other.name(), "swap_pairs", "is set, but only stages with an `objective` read it"),
            _ => Ok(()),
        }
    }

    /// The model that it trains, made of `model`.
    ///
    /// # Errors
    /// As [`Stage::adapt`].
    pub fn adapt<M: Dims, E: Scalar>(&self, model: Decoder<M, E>, seed: u64) -> Result<Decoder<M, E>, TrainError>
    where
        Cpu: Device<E>,
    {
        each!(self, s => s.adapt(model, seed))
    }
}

impl From<Stage> for AnyStage {
    fn from(stage: Stage) -> Self {
        AnyStage::Rows(stage)
    }
}

impl From<Stage<PolicyGradientOptions>> for AnyStage {
    fn from(stage: Stage<PolicyGradientOptions>) -> Self {
        AnyStage::PolicyGradient(stage)
    }
}

impl<'de> Deserialize<'de> for AnyStage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut table: Map<String, Value> = Map::deserialize(deserializer)?;
        let name = table.get("name").and_then(Value::as_str).unwrap_or("?").to_owned();
        let kinds = [ROWS, POLICY_GRADIENT, ONLINE_PREFERENCE, REJECTION_SAMPLING, REWARD_MODEL, DISTIL];
        let found: Vec<&str> = kinds.into_iter().filter(|k| table.contains_key(*k)).collect();
        if let [first, second, ..] = found[..] {
            let problem = format!("stage `{name}` has both `{first}` and `{second}`; a stage is of one kind");
            return Err(D::Error::custom(problem));
        }
        let kind = found.first().copied().unwrap_or(ROWS);
        if let Some(options) = table.remove(kind) {
            table.insert(ROWS.into(), options);
        }
        match kind {
            POLICY_GRADIENT => stage::<_, D>(table, kind).map(AnyStage::PolicyGradient),
            ONLINE_PREFERENCE => stage::<_, D>(table, kind).map(AnyStage::OnlinePreference),
            REJECTION_SAMPLING => stage::<_, D>(table, kind).map(AnyStage::RejectionSampling),
            REWARD_MODEL => stage::<_, D>(table, kind).map(AnyStage::RewardModel),
            DISTIL => stage::<_, D>(table, kind).map(AnyStage::Distil),
            _ => stage::<_, D>(table, kind).map(AnyStage::Rows),
        }
    }
}

/// A stage whose options stand under `objective` in the table, and under `key` in the file.
fn stage<'de, O: DeserializeOwned, D: Deserializer<'de>>(
    table: Map<String, Value>,
    key: &str,
) -> Result<Stage<O>, D::Error> {
    let named = |e: serde_json::Error| D::Error::custom(e.to_string().replace("`objective`", &format!("`{key}`")));
    Stage::deserialize(Value::Object(table)).map_err(named)
}

impl Serialize for AnyStage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (stage, key) = match self {
            AnyStage::Rows(stage) => return stage.serialize(serializer),
            AnyStage::PolicyGradient(stage) => (serde_json::to_value(stage), POLICY_GRADIENT),
            AnyStage::OnlinePreference(stage) => (serde_json::to_value(stage), ONLINE_PREFERENCE),
            AnyStage::RejectionSampling(stage) => (serde_json::to_value(stage), REJECTION_SAMPLING),
            AnyStage::RewardModel(stage) => (serde_json::to_value(stage), REWARD_MODEL),
            AnyStage::Distil(stage) => (serde_json::to_value(stage), DISTIL),
        };
        let mut table = match stage.map_err(S::Error::custom)? {
            Value::Object(table) => table,
            _ => Map::new(),
        };
        if let Some(options) = table.remove(ROWS) {
            table.insert(key.into(), options);
        }
        // what is left out has no value in TOML
        let mut value = Value::Object(table);
        strip(&mut value);
        value.serialize(serializer)
    }
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(table) => {
            table.retain(|_, v| !v.is_null());
            table.values_mut().for_each(strip);
        }
        Value::Array(list) => list.iter_mut().for_each(strip),
        _ => {}
    }
}
