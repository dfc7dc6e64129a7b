//! A stage of any kind, as a recipe names it.
use super::options::PolicyGradientOptions;
use crate::error::TrainError;
use crate::stage::{Precision, Stage};
use dfdx::prelude::{Cpu, Device};
use serde::de::{DeserializeOwned, Error as _};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use tropism_lm::{Decoder, Dims};
use tropism_objectives::Objective;
use tropism_ops::Scalar;

/// A stage of any kind. In a configuration file the kind is the key that its options stand under: `objective` for a loss on
/// rows, `policy_gradient` for a stage that samples; everything else is the same for all kinds.
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
}

const ROWS: &str = "objective";
const POLICY_GRADIENT: &str = "policy_gradient";

/// The same expression for every kind.
macro_rules! each {
    ($any:expr, $stage:ident => $value:expr) => {
        match $any {
            AnyStage::Rows($stage) => $value,
            AnyStage::PolicyGradient($stage) => $value,
        }
    };
}

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
        }
    }

    /// What it learns from rows; nothing where it samples.
    pub fn objective(&self) -> Option<&Objective> {
        match self {
            AnyStage::Rows(s) => Some(&s.objective),
            AnyStage::PolicyGradient(_) => None,
        }
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
        each!(self, s => s.check())
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
        if table.contains_key(ROWS) && table.contains_key(POLICY_GRADIENT) {
            let problem = format!("stage `{name}` has both `{ROWS}` and `{POLICY_GRADIENT}`; a stage is of one kind");
            return Err(D::Error::custom(problem));
        }
        match table.remove(POLICY_GRADIENT) {
            None => stage::<_, D>(table, ROWS).map(AnyStage::Rows),
            Some(options) => {
                table.insert(ROWS.into(), options);
                stage::<_, D>(table, POLICY_GRADIENT).map(AnyStage::PolicyGradient)
            }
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
        let stage = match self {
            AnyStage::Rows(stage) => return stage.serialize(serializer),
            AnyStage::PolicyGradient(stage) => stage,
        };
        let mut table = match serde_json::to_value(stage).map_err(S::Error::custom)? {
            Value::Object(table) => table,
            _ => Map::new(),
        };
        if let Some(options) = table.remove(ROWS) {
            table.insert(POLICY_GRADIENT.into(), options);
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
