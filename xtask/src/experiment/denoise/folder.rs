//! The folder of such a run; every file appears whole.
use super::super::folder::{json, put};
use crate::error::XtaskError;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use toml::Table;
use tropism_lm::FolderWriter;
use tropism_trainer::Metrics;
use tropism_trainer::denoise::{DenoiseExperiment, Estimate, Measured, Network, save_denoiser};

/// A finished stage: `stages/NAME/result.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stage {
    /// its name; `data` for what the world draws
    pub(super) name: String,
    pub(super) method: String,
    pub(super) steps: usize,
    /// of training
    pub(super) seconds: f64,
    /// pairs that it learnt from
    pub(super) pairs: usize,
    pub(super) measured: Measured,
}

/// `summary.json`.
#[derive(Serialize)]
struct Summary<'a> {
    experiment: &'a str,
    seed: u64,
    stages: Vec<StageSummary<'a>>,
    r#final: BTreeMap<String, Estimate>,
}

#[derive(Serialize)]
struct StageSummary<'a> {
    name: &'a str,
    method: &'a str,
    steps: usize,
    train_runtime: f64,
    metrics: &'a BTreeMap<String, Estimate>,
}

const RESULT: &str = "result.json";
const WEIGHTS: &str = "model.safetensors";
const PROVENANCE: &str = "provenance";

/// The configuration as TOML.
pub(super) fn text(config: &DenoiseExperiment) -> Result<String, XtaskError> {
    toml::to_string(config)
        .map_err(|e| XtaskError::config(config.name.clone(), e.to_string(), "this is a defect, please report it"))
}

pub(super) struct Folder(PathBuf);

impl Folder {
    /// Makes the folder with its `config.toml`.
    pub(super) fn create(path: &Path, config: &DenoiseExperiment) -> Result<Self, XtaskError> {
        fs::create_dir_all(path).map_err(XtaskError::io(path))?;
        let text = format!("{}\n[{PROVENANCE}]\ntropism = {:?}\n", text(config)?, env!("CARGO_PKG_VERSION"));
        put(path, "config.toml", text.as_bytes())?;
        Ok(Folder(path.into()))
    }

    /// A run that was begun earlier, and its configuration.
    pub(super) fn open(path: &Path) -> Result<(Self, String), XtaskError> {
        let file = path.join("config.toml");
        let text = fs::read_to_string(&file).map_err(XtaskError::io(&file))?;
        let broken = |problem: String| XtaskError::config(file.display().to_string(), problem, "start the run again");
        let mut table: Table = text.parse().map_err(|e: toml::de::Error| broken(e.to_string()))?;
        let was = table.remove(PROVENANCE).and_then(|p| p.get("tropism").and_then(toml::Value::as_str).map(str::to_owned));
        if was.as_deref() != Some(env!("CARGO_PKG_VERSION")) {
            let problem = format!("the program has changed since the run in {} began", path.display());
            return Err(XtaskError::usage(problem, "a resumed run has to see the same; start a new run"));
        }
        let text = toml::to_string(&table).map_err(|e| broken(e.to_string()))?;
        Ok((Folder(path.into()), text))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    fn stage(&self, name: &str) -> PathBuf {
        self.0.join("stages").join(name)
    }

    /// The weights at the end of a stage.
    pub(super) fn model(&self, stage: &str) -> PathBuf {
        self.stage(stage).join(WEIGHTS)
    }

    /// Where a stage that is running keeps its state.
    pub(super) fn checkpoint(&self, stage: &str) -> Result<PathBuf, XtaskError> {
        let folder = self.0.join("checkpoint");
        fs::create_dir_all(&folder).map_err(XtaskError::io(&folder))?;
        Ok(folder.join(format!("{stage}.safetensors")))
    }

    /// The result of a stage that is done.
    pub(super) fn finished(&self, name: &str) -> Result<Option<Stage>, XtaskError> {
        let path = self.stage(name).join(RESULT);
        if !path.is_file() {
            return Ok(None);
        }
        let text = fs::read_to_string(&path).map_err(XtaskError::io(&path))?;
        let broken =
            |e: serde_json::Error| XtaskError::config(path.display().to_string(), e.to_string(), "start the run again");
        serde_json::from_str(&text).map(Some).map_err(broken)
    }

    /// The stream of metrics, cut to the first `done` steps of this stage.
    pub(super) fn metrics(&self, stage: &str, done: usize) -> Result<Metrics, XtaskError> {
        let path = self.0.join("metrics.jsonl");
        if !path.exists() {
            return Ok(Metrics::create(&path)?);
        }
        let text = fs::read_to_string(&path).map_err(XtaskError::io(&path))?;
        let later = |line: &str| match serde_json::from_str::<Value>(line) {
            Ok(v) => v["stage"] == stage && v["step"].as_u64().is_none_or(|s| s > done as u64),
            // the line at which the run was cut off
            Err(_) => true,
        };
        let keep: usize = text.split_inclusive('\n').take_while(|l| !later(l)).map(str::len).sum();
        Ok(Metrics::resume(&path, keep as u64)?)
    }

    /// The lines of the metrics.
    pub(super) fn lines(&self) -> Result<Vec<Value>, XtaskError> {
        let path = self.0.join("metrics.jsonl");
        let text = fs::read_to_string(&path).map_err(XtaskError::io(&path))?;
        Ok(text.lines().filter_map(|l| serde_json::from_str(l).ok()).collect())
    }

    /// Puts a stage's result and weights into its folder.
    pub(super) fn keep(&self, stage: Stage, model: Option<&Network<f32>>) -> Result<Stage, XtaskError> {
        let stages = self.0.join("stages");
        fs::create_dir_all(&stages).map_err(XtaskError::io(&stages))?;
        let writer = FolderWriter::new(&self.stage(&stage.name))?;
        if let Some(model) = model {
            save_denoiser(model, &writer.path().join(WEIGHTS)).map_err(tropism_trainer::TrainError::from)?;
        }
        let path = writer.path().join(RESULT);
        fs::write(&path, json(&stage)?).map_err(XtaskError::io(&path))?;
        writer.finish()?;
        Ok(stage)
    }

    /// Writes `summary.json` and the last stage's weights, and clears the checkpoints away.
    pub(super) fn close(&self, config: &DenoiseExperiment, stages: &[Stage]) -> Result<(), XtaskError> {
        let summary = Summary {
            experiment: &config.name,
            seed: config.seed,
            stages: stages
                .iter()
                .map(|s| StageSummary {
                    name: &s.name,
                    method: &s.method,
                    steps: s.steps,
                    train_runtime: s.seconds,
                    metrics: &s.measured.metrics,
                })
                .collect(),
            r#final: stages.last().map(|s| s.measured.metrics.clone()).unwrap_or_default(),
        };
        put(&self.0, "summary.json", &json(&summary)?)?;
        if let Some(last) = stages.last() {
            let path = self.model(&last.name);
            let bytes = fs::read(&path).map_err(XtaskError::io(&path))?;
            put(&self.0, WEIGHTS, &bytes)?;
        }
        let checkpoint = self.0.join("checkpoint");
        match checkpoint.exists() {
            true => fs::remove_dir_all(&checkpoint).map_err(XtaskError::io(&checkpoint)),
            false => Ok(()),
        }
    }
}
