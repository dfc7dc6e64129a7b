//! The configuration of an experiment, as it stands in a TOML file.
use crate::error::XtaskError;
use crate::experiment::veto::Veto;
use crate::overrides;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use toml::Table;
use tropism_data::questions::Questions;
use tropism_data::read::{Columns, Format};
use tropism_data::text::Boundary;
use tropism_data::tokens::Truncation;
use tropism_lm::{Batching, Sampling, WeightDtype};
use tropism_trainer::AnyStage;
use tropism_worlds::{ArithmeticConfig, LookupConfig, SokobanConfig};

/// An experiment: data, model, stages, evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// name of the run
    pub name: String,
    /// one line for the list of recipes
    #[serde(default)]
    pub description: String,
    /// seed of every random choice
    #[serde(default)]
    pub seed: u64,
    /// threads; 0 for as many as the model's size is worth
    #[serde(default)]
    pub threads: usize,
    /// most memory that training may take, as `8GiB` or `6000MiB`, with all models that a stage holds; micro-batches are made
    /// small enough
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_limit: Option<String>,
    /// where rows come from
    pub data: Data,
    /// the embedded task that makes rows where `data.path` is not set
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub world: Option<World>,
    /// where the model comes from
    pub model: Model,
    /// what is measured after each stage
    #[serde(default)]
    pub evaluation: Evaluation,
    /// how an answer is shown again for a better one; for methods and evaluations with revisions
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    /// the stages, in order
    pub stages: Vec<AnyStage>,
    /// stages that are held against each other at the end
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub comparisons: Vec<Comparison>,
}

/// `[revision]`: the prompt of a revision is the prompt, an answer, and a request for a better one. In a chat the request is a
/// user's turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Revision {
    /// what asks for a better answer
    pub request: String,
    /// how often held-out answers are revised after each stage; 0 for not at all
    pub rounds: usize,
}

impl Default for Revision {
    fn default() -> Self {
        Revision { request: "Give a better answer.".into(), rounds: 3 }
    }
}

/// `[[comparisons]]`: a stage against a baseline, on the same held-out prompts.
///
/// Two arms of a run start from one earlier stage by their `init`; what the second does better stands in the summary and the
/// report, with intervals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// a stage, or `model` for the start
    pub stage: String,
    /// what it is compared with: another stage, or `model`
    pub baseline: String,
}

/// `[data]`: a preference file, and how rows are split and cut.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Data {
    /// JSONL (plain, .gz, .zst) or Parquet with chosen and rejected
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// how rows are laid out
    pub format: Format,
    /// names of the columns
    pub columns: Columns,
    /// the file holds questions with known answers in place of pairs: GSM8K's columns by `{}`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub questions: Option<Questions>,
    /// only so many rows from the beginning
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// share of the prompts that is held out
    pub test_fraction: f64,
    /// longest prompt and completion together, in tokens
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_length: Option<usize>,
    /// which end is kept of what is longer, or `drop`
    pub truncation: Truncation,
    /// what to do where prompt and completion merge in a token: `error`, `drop` or `join`
    pub boundary: Boundary,
}

impl Default for Data {
    fn default() -> Self {
        Data {
            path: None,
            format: Format::default(),
            columns: Columns::default(),
            questions: None,
            limit: None,
            test_fraction: 0.1,
            max_length: Some(512),
            truncation: Truncation::default(),
            boundary: Boundary::default(),
        }
    }
}

/// `[world]`: how much of the embedded task is made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct World {
    /// supervised samples
    pub samples: usize,
    /// preference pairs to learn from
    pub pairs: usize,
    /// preference pairs that are held out, without noise
    pub test_pairs: usize,
    /// share of the training pairs whose sides are swapped
    pub noise: f64,
    /// the task itself
    pub arithmetic: ArithmeticConfig,
    /// a puzzle for agents in its place
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sokoban: Option<SokobanConfig>,
    /// questions for agents with a tool that looks facts up, in its place
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lookup: Option<LookupConfig>,
}

impl Default for World {
    fn default() -> Self {
        let arithmetic = ArithmeticConfig::default();
        World { samples: 2000, pairs: 2000, test_pairs: 400, noise: 0.0, arithmetic, sokoban: None, lookup: None }
    }
}

impl World {
    /// Whether the tasks are the same, however many rows are made of them.
    pub(crate) fn same_task(&self, other: &Self) -> bool {
        (&self.arithmetic, &self.sokoban, &self.lookup) == (&other.arithmetic, &other.sokoban, &other.lookup)
    }
}

/// `[model]`: a Hugging Face folder, or the sizes of a new model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Model {
    /// folder of a model; set, it replaces `model.new`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// folder of a tokenizer, where it is not the model's own
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<PathBuf>,
    /// how the result's weights are stored
    pub dtype: WeightDtype,
    /// a model from scratch
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<NewModel>,
}

/// `[model.new]`: sizes of a model from scratch, by the names of `config.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewModel {
    /// entries of the tokenizer that is trained on the data, unless `model.tokenizer` gives one
    pub vocab_size: usize,
    /// width of the residual stream
    pub hidden_size: usize,
    /// width of the feed-forward layer
    pub intermediate_size: usize,
    /// layers
    pub num_hidden_layers: usize,
    /// query heads
    pub num_attention_heads: usize,
    /// key and value heads
    pub num_key_value_heads: usize,
    /// longest sequence
    pub max_position_embeddings: usize,
    /// whether the head is the embedding
    #[serde(default = "yes")]
    pub tie_word_embeddings: bool,
    /// standard deviation of fresh weights
    #[serde(default = "initializer_range")]
    pub initializer_range: f64,
}

fn yes() -> bool {
    true
}
fn initializer_range() -> f64 {
    0.02
}

/// `[evaluation]`: what is measured on held-out rows after each stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Evaluation {
    /// most held-out pairs that are scored
    pub pairs: usize,
    /// held-out prompts that are answered; 0 for none
    pub prompts: usize,
    /// answers to each
    pub answers_per_prompt: usize,
    /// how answers are sampled
    pub sampling: Sampling,
    /// most tokens of one turn in a world that answers back; `sampling.max_new_tokens` limits the whole
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turn_tokens: Option<usize>,
    /// texts that end an answer, beside the tokenizer's and the model's own ends
    pub stop: Vec<String>,
    /// how many answers are written at a time, and what they may keep; changes no answer
    pub batching: Batching,
    /// prompts shown in the report with their answers
    pub shown: usize,
    /// a corpus that answers may not repeat
    #[serde(skip_serializing_if = "Option::is_none")]
    pub veto: Option<Veto>,
}

impl Default for Evaluation {
    fn default() -> Self {
        let sampling = Sampling { max_new_tokens: 64, ..Sampling::default() };
        Evaluation {
            pairs: 1000,
            prompts: 64,
            answers_per_prompt: 1,
            sampling,
            turn_tokens: None,
            stop: vec![],
            batching: Batching::default(),
            shown: 8,
            veto: None,
        }
    }
}

impl Experiment {
    /// Parses a recipe or file named `origin`, applies `--set` options and checks the result.
    ///
    /// # Errors
    /// Broken TOML with its line, an unknown key with the nearest valid one, a value of the wrong kind.
    pub fn parse(origin: &str, text: &str, sets: &[String]) -> Result<Self, XtaskError> {
        let help = "see xtask/recipes for working examples";
        let mut table: Table = text.parse().map_err(|e: toml::de::Error| XtaskError::config(origin, e.to_string(), help))?;
        for set in sets {
            overrides::apply(&mut table, set)?;
        }
        let mut config = Experiment::deserialize(table.clone()).map_err(|e| explain(origin, &table, e.message()))?;
        config.settle();
        config.check(origin)?;
        Ok(config)
    }

    /// A given file or folder takes the place of what the recipe would make itself.
    fn settle(&mut self) {
        if self.data.path.is_some() {
            self.world = None;
        }
        if self.model.path.is_some() {
            self.model.new = None;
        }
    }

    fn check(&self, origin: &str) -> Result<(), XtaskError> {
        let refuse = |problem: &str, help: &str| Err(XtaskError::config(origin, problem, help));
        if self.data.path.is_none() && self.world.is_none() {
            return refuse("`data.path` is not set", "give a preference file: --set data.path=FILE");
        }
        if self.model.path.is_none() && self.model.new.is_none() {
            return refuse("`model.path` is not set", "give a model folder: --set model.path=DIR");
        }
        if self.stages.is_empty() {
            return refuse(
                "there are no stages",
                "add a [[stages]] table with name, learning_rate, and objective or policy_gradient",
            );
        }
        if self.evaluation.answers_per_prompt == 0 {
            return refuse(
                "`evaluation.answers_per_prompt` is 0",
                "it must be at least 1; evaluation.prompts=0 turns sampling off",
            );
        }
        if self.evaluation.turn_tokens == Some(0) {
            return refuse("`evaluation.turn_tokens` is 0", "it must be at least 1");
        }
        if self.evaluation.stop.iter().any(String::is_empty) {
            return refuse("`evaluation.stop` holds an empty text", "it would end every answer at once; leave it out");
        }
        if self.revision.as_ref().is_some_and(|r| r.request.trim().is_empty()) {
            return refuse("`revision.request` is empty", "write what asks for a better answer, or leave it out");
        }
        if let Err(e) = self.evaluation.batching.check() {
            return refuse(&format!("`evaluation.batching`: {e}"), "leave it out for the default");
        }
        if let Err((problem, help)) = self.evaluation.veto.as_ref().map_or(Ok(()), Veto::check) {
            return refuse(&problem, help);
        }
        for (i, stage) in self.stages.iter().enumerate() {
            stage.check()?;
            let earlier: Vec<&str> = self.stages[..i].iter().map(AnyStage::name).chain(["model"]).collect();
            if earlier.contains(&stage.name()) {
                return refuse(
                    &format!("two stages are called `{}`", stage.name()),
                    "give each its own name; `model` is taken",
                );
            }
            for (key, name) in [("init", stage.init()), ("reference", stage.reference())] {
                if let Some(name) = name.filter(|n| !earlier.contains(n)) {
                    let problem = format!("stage `{}`: `{key}` is `{name}`, which is no earlier stage", stage.name());
                    return refuse(&problem, &format!("earlier are: {}", earlier.join(", ")));
                }
            }
            self.check_models(i).or_else(|(problem, help)| refuse(&problem, &help))?;
        }
        self.check_comparisons().or_else(|(problem, help)| refuse(&problem, &help))
    }

    /// Whether the models that stage `i` reads are there: language models by its options, reward models by its rewards. Problem
    /// and help.
    fn check_models(&self, i: usize) -> Result<(), (String, String)> {
        let (stage, earlier) = (&self.stages[i], &self.stages[..i]);
        let name = stage.name();
        let find = |wanted: &str| earlier.iter().find(|s| s.name() == wanted);
        let named = [("init", stage.init()), ("reference", stage.reference())];
        let named = named.into_iter().filter_map(|(key, n)| Some((key, n?))).chain(stage.others());
        for (key, wanted) in named.filter(|(_, n)| *n != "model") {
            let problem = match find(wanted) {
                None => format!("stage `{name}`: `{key}` is `{wanted}`, which is no earlier stage"),
                Some(s) if s.makes_reward_model() => {
                    format!("stage `{name}`: `{key}` is `{wanted}`, which is a reward model and no language model")
                }
                Some(_) => continue,
            };
            let names = earlier.iter().filter(|s| !s.makes_reward_model()).map(AnyStage::name);
            let names: Vec<&str> = names.chain(["model"]).collect();
            return Err((problem, format!("earlier are: {}", names.join(", "))));
        }
        for (reward, function) in stage.sampling().into_iter().flat_map(|(_, all)| all) {
            let Some(model) = function.function.model() else { continue };
            let Some(wanted) = &model.stage else { continue };
            let Some(AnyStage::RewardModel(found)) = find(wanted) else {
                let problem =
                    format!("stage `{name}`: reward `{reward}` asks for `{wanted}`, which is no earlier reward model");
                return Err((problem, "name an earlier stage with a `reward_model` table, or set `folder`".into()));
            };
            let heads: Vec<&str> = found.objective.heads.keys().map(String::as_str).collect();
            let fits = model.head.as_ref().map_or(heads.len() == 1, |h| heads.contains(&h.as_str()));
            if !fits {
                let asked = model.head.as_ref().map_or("no head".to_owned(), |h| format!("head `{h}`"));
                let problem = format!("stage `{name}`: reward `{reward}` names {asked} of `{wanted}`");
                return Err((problem, format!("its heads are: {}", heads.join(", "))));
            }
        }
        Ok(())
    }

    /// Problem and help.
    fn check_comparisons(&self) -> Result<(), (String, String)> {
        let names: Vec<&str> = self.stages.iter().map(AnyStage::name).chain(["model"]).collect();
        for Comparison { stage, baseline } in &self.comparisons {
            for (key, name) in [("stage", stage), ("baseline", baseline)] {
                if !names.contains(&name.as_str()) {
                    let near = nearest(name, names.iter().copied());
                    let near = near.map(|n| format!("did you mean `{n}`? ")).unwrap_or_default();
                    let problem = format!("`comparisons`: `{key}` is `{name}`, which is no stage");
                    return Err((problem, format!("{near}stages are: {}", names.join(", "))));
                }
            }
            if stage == baseline {
                let problem = format!("`comparisons`: `{stage}` is compared with itself");
                return Err((problem, "give another baseline".into()));
            }
            if self.evaluation.prompts == 0 {
                let help = "set evaluation.prompts, or remove the comparisons";
                return Err(("`comparisons` compare answers, but `evaluation.prompts` is 0".into(), help.into()));
            }
        }
        Ok(())
    }

    /// The configuration as TOML.
    ///
    /// # Errors
    /// Never for a configuration that was parsed.
    pub fn to_toml(&self) -> Result<String, XtaskError> {
        toml::to_string(self)
            .map_err(|e| XtaskError::config(self.name.clone(), e.to_string(), "this is a defect, please report it"))
    }
}

/// The name most like `name`, if any is near.
pub fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let like = |n: &str| strsim::jaro_winkler(name, n).max(strsim::normalized_damerau_levenshtein(name, n));
    // the fewest slips of the keyboard first; a long name may share many letters with a short one
    let slips = |n: &&str| (strsim::damerau_levenshtein(name, n), -(1e6 * like(n)) as i64);
    names.into_iter().filter(|n| like(n) > 0.6).min_by_key(slips)
}

/// Turns the parser's complaint about an unknown key into one that says where it stands and what is near.
pub(crate) fn explain(origin: &str, table: &Table, message: &str) -> XtaskError {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let is_key = message.starts_with("unknown field");
    let is_name = message.starts_with("unknown variant");
    let Some(bad) = quoted.next().filter(|_| is_key || is_name) else {
        return XtaskError::config(origin, message.trim(), "see xtask/recipes for working examples");
    };
    let valid: Vec<&str> = quoted.collect();
    let near = nearest(bad, valid.iter().copied()).map(|n| format!("did you mean `{n}`? ")).unwrap_or_default();
    let what = if is_key {
        format!("unknown key `{}`", locate(table, bad).unwrap_or_else(|| bad.to_owned()))
    } else {
        format!("unknown name `{bad}`")
    };
    let list =
        if valid.is_empty() { "this table takes no keys".to_owned() } else { format!("valid are {}", valid.join(", ")) };
    XtaskError::config(origin, what, format!("{near}{list}"))
}

/// Dotted path of the first key of that name.
fn locate(table: &Table, key: &str) -> Option<String> {
    if table.contains_key(key) {
        return Some(key.to_owned());
    }
    table.iter().find_map(|(name, value)| match value {
        toml::Value::Table(t) => locate(t, key).map(|rest| format!("{name}.{rest}")),
        toml::Value::Array(list) => list.iter().find_map(|v| {
            let t = v.as_table()?;
            let label = t.get("name").and_then(toml::Value::as_str).unwrap_or("?");
            locate(t, key).map(|rest| format!("{name}.{label}.{rest}"))
        }),
        _ => None,
    })
}
