//! What `data build` reads, from a TOML file and options.
use crate::cli::DataBuildArgs;
use crate::config::explain;
use crate::error::XtaskError;
use crate::overrides;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use toml::{Table, Value};
use tropism_data::build::BuildOptions;
use tropism_data::construct::controls::Controls;
use tropism_data::construct::records::ScoreBy;
use tropism_data::construct::{BestWorst, Strategy};
use tropism_data::curriculum::Curriculum;
use tropism_data::hygiene::Hygiene;
use tropism_data::hygiene::contamination::Contamination;
use tropism_data::read::{BrokenRows, Columns, Format, ImplicitPrompt, ReadOptions};

/// A preparation: source, hygiene, construction, controls, curriculum, split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// seed of every random choice
    #[serde(default)]
    pub seed: u64,
    /// the figure that ranks responses: `score`, `rank`, `label`, `mean_aspects`, `length`, `{ aspect = NAME }`
    #[serde(default)]
    pub score: ScoreBy,
    /// aspects of responses that go along as columns
    #[serde(default)]
    pub carry: Vec<String>,
    /// share of the prompts that is held out
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_fraction: Option<f64>,
    /// where records come from
    pub source: Source,
    /// whether hygiene is applied; off, records are built from as they were read, repeated responses included
    #[serde(default = "yes")]
    pub clean: bool,
    /// duplicates and unusable rows
    #[serde(default)]
    pub hygiene: Hygiene,
    /// evaluation files whose texts must not be learned
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decontaminate: Option<Decontaminate>,
    /// which responses are set against which
    #[serde(default = "best_worst")]
    pub construct: Strategy,
    /// controls on pairs
    #[serde(default)]
    pub controls: Controls,
    /// the order of the training rows
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub curriculum: Option<Curriculum>,
}

fn yes() -> bool {
    true
}
fn best_worst() -> Strategy {
    BestWorst::default().into()
}

/// `[source]`: what is read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// a file, a folder of shards or a pattern
    pub path: PathBuf,
    /// how rows are laid out
    #[serde(default)]
    pub format: Format,
    /// names of the columns, where they are not the format's own
    #[serde(default)]
    pub columns: Columns,
    /// further columns of numbers
    #[serde(default)]
    pub numbers: Vec<String>,
    /// only so many rows from the beginning
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// what becomes of rows that are not as the format says
    #[serde(default)]
    pub broken_rows: BrokenRows,
    /// where the prompt of plain pairs without one is looked for
    #[serde(default)]
    pub implicit_prompt: ImplicitPrompt,
}

impl Source {
    /// What the readers take.
    pub fn options(&self) -> ReadOptions {
        ReadOptions {
            format: self.format,
            columns: self.columns.clone(),
            numbers: self.numbers.clone(),
            limit: self.limit,
            broken_rows: self.broken_rows,
            implicit_prompt: self.implicit_prompt,
        }
    }
}

/// `[decontaminate]`: evaluation files, and how near is too near.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decontaminate {
    /// evaluation files, in any format that can be read
    pub against: Vec<PathBuf>,
    /// words in a run
    #[serde(default = "words")]
    pub words: usize,
    /// share of covered words above which a record is left out
    #[serde(default = "threshold")]
    pub threshold: f64,
}

fn words() -> usize {
    Contamination::default().words
}
fn threshold() -> f64 {
    Contamination::default().threshold
}

impl DataConfig {
    /// The configuration of a file, with what the command line adds.
    ///
    /// # Errors
    /// A file that cannot be read, broken TOML, an unknown key with the nearest valid one, a value that makes no sense.
    pub fn load(args: &DataBuildArgs) -> Result<Self, XtaskError> {
        let (origin, text) = match &args.config {
            Some(path) => (path.display().to_string(), std::fs::read_to_string(path).map_err(XtaskError::io(path))?),
            None => ("the command line".to_owned(), String::new()),
        };
        let help = "see `cargo xtask data build --help` for an example";
        let mut table: Table =
            text.parse().map_err(|e: toml::de::Error| XtaskError::config(&origin, e.to_string(), help))?;
        args.put(&mut table, &origin)?;
        let config = DataConfig::deserialize(table.clone()).map_err(|e| explain(&origin, &table, e.message()))?;
        config.options().check()?;
        if !config.clean && (config.hygiene != Hygiene::default() || config.decontaminate.is_some()) {
            let problem = "`clean` is false, so `hygiene` and `decontaminate` would have no effect";
            return Err(XtaskError::config(origin, problem, "leave them out, or set clean = true"));
        }
        Ok(config)
    }

    /// What is built from the records.
    pub fn options(&self) -> BuildOptions {
        BuildOptions {
            seed: self.seed,
            score: self.score.clone(),
            carry: self.carry.clone(),
            construct: self.construct.clone(),
            controls: self.controls.clone(),
            curriculum: self.curriculum.clone(),
            test_fraction: self.test_fraction,
        }
    }
}

impl DataBuildArgs {
    /// Puts the options of the command line into the table of the file.
    fn put(&self, table: &mut Table, origin: &str) -> Result<(), XtaskError> {
        if let Some(path) = &self.source {
            set(table, "source", "path", Value::String(path.display().to_string()), origin)?;
        }
        if let Some(format) = &self.format {
            set(table, "source", "format", Value::String(format.clone()), origin)?;
        }
        if let Some(strategy) = &self.strategy {
            set(table, "construct", "strategy", Value::String(strategy.clone()), origin)?;
        }
        if let Some(seed) = self.seed {
            let seed = i64::try_from(seed).map_err(|_| XtaskError::usage("--seed is too large", "take one below 2^63"))?;
            table.insert("seed".to_owned(), Value::Integer(seed));
        }
        for set in &self.set {
            overrides::apply(table, set)?;
        }
        if !table.contains_key("source") {
            return Err(XtaskError::config(origin, "`source.path` is not set", "give a file: --source FILE"));
        }
        Ok(())
    }
}

fn set(table: &mut Table, section: &str, key: &str, value: Value, origin: &str) -> Result<(), XtaskError> {
    match table.entry(section).or_insert_with(|| Value::Table(Table::new())) {
        Value::Table(inner) => {
            inner.insert(key.to_owned(), value);
            Ok(())
        }
        _ => Err(XtaskError::config(origin, format!("`{section}` is a value, not a table"), format!("write [{section}]"))),
    }
}
