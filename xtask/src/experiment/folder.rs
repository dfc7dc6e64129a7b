//! The folder of a run.
use super::prepare::{Prepared, Prompt};
use super::result::{PromptRow, StageResult, Summary};
use crate::config::Experiment;
use crate::error::XtaskError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tropism_lm::{FolderWriter, Loaded};
use tropism_trainer::RewardModel;

/// What a run was made from, at the end of its `config.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// version of this workspace
    pub tropism: String,
    /// versions of the libraries that results depend on
    pub versions: BTreeMap<String, String>,
    /// SHA-256 of data, tokenizer and model files
    pub hashes: BTreeMap<String, String>,
}

/// The held-out prompts that answers name by their index.
pub(crate) const PROMPTS: &str = "prompts.jsonl";

#[derive(Serialize, Deserialize)]
struct Resolved {
    #[serde(flatten)]
    config: toml::Table,
    provenance: Provenance,
}

/// The folder of a run; every file appears whole.
#[derive(Debug)]
pub struct RunFolder(PathBuf);

/// A run never writes into a folder that something else has filled.
pub(super) fn refuse_existing(path: &Path) -> Result<(), XtaskError> {
    let filled = path.is_file() || fs::read_dir(path).is_ok_and(|mut d| d.next().is_some());
    if filled {
        let help = "give another --out, remove it, or go on with it by --resume";
        return Err(XtaskError::usage(format!("{} exists already", path.display()), help));
    }
    Ok(())
}

impl RunFolder {
    /// Makes the folder with its `config.toml`, `audit.json` and, where prompts are answered, `prompts.jsonl`.
    ///
    /// # Errors
    /// When something cannot be written.
    pub fn create(path: &Path, prepared: &Prepared) -> Result<Self, XtaskError> {
        fs::create_dir_all(path).map_err(XtaskError::io(path))?;
        let run = RunFolder(path.into());
        let mut text = prepared.config.to_toml()?;
        let provenance = BTreeMap::from([("provenance", prepared.provenance())]);
        text += "\n";
        text += &toml::to_string(&provenance)
            .map_err(|e| XtaskError::usage(e.to_string(), "this is a defect, please report it"))?;
        run.put("config.toml", text.as_bytes())?;
        run.put("audit.json", &json(&prepared.audit)?)?;
        let row = |(prompt, p): (usize, &Prompt)| PromptRow { prompt, text: p.text.clone() };
        let prompts: Vec<PromptRow> = prepared.prompts.iter().enumerate().map(row).collect();
        if !prompts.is_empty() {
            run.put(PROMPTS, &json_lines(&prompts)?)?;
        }
        Ok(run)
    }

    /// A run that was begun earlier.
    ///
    /// # Errors
    /// When the folder holds no `config.toml`.
    pub fn open(path: &Path) -> Result<Self, XtaskError> {
        if !path.join("config.toml").is_file() {
            let problem = format!("{} is no run folder: there is no config.toml in it", path.display());
            return Err(XtaskError::usage(problem, "give the folder of an interrupted run"));
        }
        Ok(RunFolder(path.into()))
    }

    pub(crate) fn resolved(&self) -> Result<(Experiment, Provenance), XtaskError> {
        let path = self.0.join("config.toml");
        let text = fs::read_to_string(&path).map_err(XtaskError::io(&path))?;
        let origin = path.display().to_string();
        let broken = |e: toml::de::Error| XtaskError::config(&*origin, e.to_string(), "start the run again");
        let resolved: Resolved = toml::from_str(&text).map_err(broken)?;
        let config = toml::to_string(&resolved.config)
            .map_err(|e| XtaskError::config(&*origin, e.to_string(), "start the run again"))?;
        Ok((Experiment::parse(&origin, &config, &[])?, resolved.provenance))
    }

    /// The run's configuration.
    ///
    /// # Errors
    /// When `config.toml` cannot be read as one.
    pub fn config(&self) -> Result<Experiment, XtaskError> {
        Ok(self.resolved()?.0)
    }

    /// Makes sure that a resumed run sees what the interrupted one saw.
    ///
    /// # Errors
    /// Names the file that has changed.
    pub fn check_same(&self, prepared: &Prepared) -> Result<(), XtaskError> {
        let (was, is) = (self.resolved()?.1, prepared.provenance());
        if was == is {
            return Ok(());
        }
        let changed = was.hashes.iter().find(|(k, v)| is.hashes.get(*k) != Some(v)).map_or("the program", |(k, _)| k);
        let problem = format!("{changed} has changed since the run in {} began", self.0.display());
        Err(XtaskError::usage(problem, "a resumed run has to see the same; start a new run"))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The stream of metrics.
    pub fn metrics(&self) -> PathBuf {
        self.0.join("metrics.jsonl")
    }

    /// Where reference log-probabilities are kept for all runs beside this one.
    pub fn reference_cache(&self) -> PathBuf {
        self.0.with_file_name("ref_logps")
    }

    /// The checkpoint of the stage that is running.
    pub fn checkpoint(&self) -> PathBuf {
        self.0.join("checkpoint")
    }

    /// Where a finished stage's model and results stand.
    pub fn stage(&self, name: &str) -> PathBuf {
        self.0.join("stages").join(name)
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), XtaskError> {
        put(&self.0, name, bytes)
    }

    /// Writes `summary.json`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_summary(&self, summary: &Summary) -> Result<(), XtaskError> {
        self.put("summary.json", &json(summary)?)
    }

    /// Writes `model/`: the last stage's weights with the tokenizer.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_model(&self, prepared: &Prepared, results: &[StageResult]) -> Result<(), XtaskError> {
        let last = results.last().map_or("model", |r| r.name.as_str());
        let writer = FolderWriter::new(&self.0.join("model"))?;
        let dtype = prepared.config.model.dtype;
        if prepared.config.stages.iter().any(|s| s.name() == last && s.makes_reward_model()) {
            RewardModel::<Loaded, f32>::load(&self.stage(last))?.save(writer.path(), dtype)?;
        } else {
            super::pipeline::load_stage(self, prepared, last)?.save(writer.path(), dtype)?;
        }
        prepared.companions(writer.path())?;
        Ok(writer.finish()?)
    }
}

/// Writes a file of a folder under a temporary name and renames it.
pub(crate) fn put(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), XtaskError> {
    let (path, part) = (folder.join(name), folder.join(format!(".{name}.part")));
    fs::write(&part, bytes).map_err(XtaskError::io(&part))?;
    fs::rename(&part, &path).map_err(XtaskError::io(&path))
}

/// Pretty JSON with a closing newline.
pub(crate) fn json(value: &impl Serialize) -> Result<Vec<u8>, XtaskError> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|e| {
        XtaskError::usage(format!("a result cannot be written as JSON: {e}"), "this is a defect, please report it")
    })?;
    text.push(b'\n');
    Ok(text)
}

/// One line of JSON for each row.
pub(super) fn json_lines(rows: &[impl Serialize]) -> Result<Vec<u8>, XtaskError> {
    let mut text = vec![];
    for row in rows {
        serde_json::to_writer(&mut text, row).map_err(|e| {
            XtaskError::usage(format!("a result cannot be written as JSON: {e}"), "this is a defect, please report it")
        })?;
        text.push(b'\n');
    }
    Ok(text)
}
