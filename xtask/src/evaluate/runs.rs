//! What a run folder holds for an evaluation.
use crate::config::{Experiment, nearest};
use crate::error::XtaskError;
use crate::experiment::folder::{PROMPTS, RunFolder};
use crate::experiment::pipeline::{PAIRS, RESULT};
use crate::experiment::{PairRow, PromptRow, StageResult};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tropism_data::read::read_rows;

/// One stage of a run, with what the whole run shares.
pub(super) struct RunData {
    pub(super) path: PathBuf,
    /// folder and stage, for people
    pub(super) label: String,
    pub(super) config: Experiment,
    pub(super) hashes: BTreeMap<String, String>,
    /// texts of the held-out prompts, by index
    pub(super) prompts: BTreeMap<usize, String>,
    pub(super) stage: StageResult,
    /// empty where the run scored no pairs
    pub(super) pairs: Vec<PairRow>,
}

impl RunData {
    /// Reads a run; `stage` names one of its stages, `model` the model at the start.
    pub(super) fn read(path: &Path, stage: Option<&str>) -> Result<Self, XtaskError> {
        let (config, hashes) = config(path)?;
        let run = RunFolder::open(path)?;
        let names: Vec<&str> = std::iter::once("model").chain(config.stages.iter().map(|s| s.name())).collect();
        let name = stage.or(names.last().copied()).unwrap_or("model").to_owned();
        if !names.contains(&name.as_str()) {
            let near = nearest(&name, names.iter().copied()).map(|n| format!("did you mean `{n}`? ")).unwrap_or_default();
            let problem = format!("{} has no stage `{name}`", path.display());
            return Err(XtaskError::usage(problem, format!("{near}its stages are {}", names.join(", "))));
        }
        let stage = result(&run, &name)?;
        let file = run.stage(&name).join(PAIRS);
        let pairs = if file.is_file() { read_rows(&file)? } else { vec![] };
        let prompts = prompts(path, &stage)?;
        let label = format!("{} ({name})", path.display());
        Ok(RunData { path: path.into(), label, config, hashes, prompts, stage, pairs })
    }

    /// Results of all stages that are done, in their order, the model at the start first.
    pub(super) fn stages(&self) -> Result<Vec<StageResult>, XtaskError> {
        let run = RunFolder::open(&self.path)?;
        let names = std::iter::once("model").chain(self.config.stages.iter().map(|s| s.name()));
        names.filter(|n| run.stage(n).join(RESULT).is_file()).map(|n| result(&run, n)).collect()
    }

    /// The text of the prompt that an answer names.
    pub(super) fn prompt(&self, index: usize) -> Result<&str, XtaskError> {
        let problem = || format!("{}: there is no prompt {index}, which an answer names", self.path.join(PROMPTS).display());
        let found = self.prompts.get(&index).map(String::as_str);
        found.ok_or_else(|| XtaskError::usage(problem(), "run the experiment again"))
    }
}

/// Configuration and hashes, with a clear word on folders that are something else.
fn config(path: &Path) -> Result<(Experiment, BTreeMap<String, String>), XtaskError> {
    if !path.is_dir() {
        let problem = format!("{}: there is no such folder", path.display());
        return Err(XtaskError::usage(problem, "give the folder of a run, as `cargo xtask experiment` leaves it"));
    }
    let file = path.join("config.toml");
    let Ok(text) = std::fs::read_to_string(&file) else {
        let problem = format!("{} is no run folder: there is no config.toml in it", path.display());
        return Err(XtaskError::usage(problem, "give the folder of a run, as `cargo xtask experiment` leaves it"));
    };
    if text.parse::<toml::Table>().is_ok_and(|t| t.contains_key("claim")) {
        let problem = format!("{} is the folder of a toy, which has no answers and no pairs", path.display());
        return Err(XtaskError::usage(problem, "its figures stand in summary.json"));
    }
    let (config, provenance) = RunFolder::open(path)?.resolved()?;
    Ok((config, provenance.hashes))
}

fn result(run: &RunFolder, name: &str) -> Result<StageResult, XtaskError> {
    let file = run.stage(name).join(RESULT);
    let Ok(text) = std::fs::read_to_string(&file) else {
        let problem = format!("{}: the stage `{name}` is not done", file.display());
        let help = format!("go on with the run: cargo xtask experiment --resume {}", run.path().display());
        return Err(XtaskError::usage(problem, help));
    };
    serde_json::from_str(&text)
        .map_err(|e| XtaskError::config(file.display().to_string(), e.to_string(), "run the experiment again"))
}

fn prompts(path: &Path, stage: &StageResult) -> Result<BTreeMap<usize, String>, XtaskError> {
    let file = path.join(PROMPTS);
    if stage.answers.is_empty() {
        return Ok(BTreeMap::new());
    }
    if !file.is_file() {
        let problem = format!("{}: there is no such file, so nobody knows what was answered", file.display());
        return Err(XtaskError::usage(problem, "the run was made by an older version; run the experiment again"));
    }
    let rows: Vec<PromptRow> = read_rows(&file)?;
    Ok(rows.into_iter().map(|r| (r.prompt, r.text)).collect())
}

/// Refuses runs whose held-out rows have nothing to do with one another.
pub(super) fn same_data(a: &RunData, b: &RunData) -> Result<(), XtaskError> {
    let what = match (&a.config.world, &b.config.world) {
        (None, None) if a.hashes.get("data") == b.hashes.get("data") => return Ok(()),
        (Some(x), Some(y)) if x.same_task(y) => return Ok(()),
        (None, None) => "their data files differ",
        (Some(_), Some(_)) => "their worlds differ",
        _ => "one has a data file, the other the embedded world",
    };
    let problem = format!("{} and {} are runs on different data: {what}", a.path.display(), b.path.display());
    Err(XtaskError::usage(problem, "compare runs that share data.path or [world]"))
}

/// Whether the same held-out pairs were scored in both runs, so that equal sources mean equal pairs.
pub(super) fn same_pairs(a: &RunData, b: &RunData) -> bool {
    a.config.world.is_none() || (a.config.seed == b.config.seed && a.config.world == b.config.world)
}
