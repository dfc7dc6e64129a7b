//! The stream of metrics: one JSON object per line and step.
use crate::error::TrainError;
use serde::Serialize;
use serde_json::{Map, Value};
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Figures of one optimiser step. Means run over the rows of the whole step, whatever its micro-batches.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepMetrics {
    /// the stage's name
    pub stage: String,
    /// counted from 1
    pub step: usize,
    /// passes over the data after this step
    pub epoch: f64,
    /// loss: sum over rows divided by their weight
    pub loss: f64,
    /// L2 norm of the gradient before clipping
    pub grad_norm: f64,
    /// learning rate of this step
    pub learning_rate: f64,
    /// tokens computed so far in this stage, shared prompts once
    pub num_tokens: usize,
    /// the objective's figures: `rewards/margins` and so on
    #[serde(flatten)]
    pub figures: Map<String, Value>,
}

/// Appends [`StepMetrics`] to a `metrics.jsonl`.
#[derive(Debug)]
pub struct Metrics {
    path: PathBuf,
    file: BufWriter<File>,
    bytes: u64,
}

impl Metrics {
    /// Starts an empty file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create(path: &Path) -> Result<Self, TrainError> {
        let file = File::create(path).map_err(TrainError::io(path))?;
        Ok(Metrics { path: path.into(), file: BufWriter::new(file), bytes: 0 })
    }

    /// Goes on after the first `bytes` bytes, which a checkpoint remembers; what was written later is dropped.
    ///
    /// # Errors
    /// When the file is missing or shorter than that.
    pub fn resume(path: &Path, bytes: u64) -> Result<Self, TrainError> {
        let mut file = OpenOptions::new().write(true).open(path).map_err(TrainError::io(path))?;
        let found = file.metadata().map_err(TrainError::io(path))?.len();
        if found < bytes {
            let problem = format!("has {found} bytes, the checkpoint remembers {bytes}; start the run again");
            return Err(TrainError::Checkpoint { path: path.into(), problem });
        }
        file.set_len(bytes).map_err(TrainError::io(path))?;
        file.seek(SeekFrom::End(0)).map_err(TrainError::io(path))?;
        Ok(Metrics { path: path.into(), file: BufWriter::new(file), bytes })
    }

    /// Writes one line.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&mut self, line: &StepMetrics) -> Result<(), TrainError> {
        let mut text =
            serde_json::to_string(line).map_err(|e| TrainError::Io { path: self.path.clone(), source: e.into() })?;
        text.push('\n');
        self.bytes += text.len() as u64;
        // flushed at once: whoever follows the file sees each step
        self.file.write_all(text.as_bytes()).and_then(|()| self.file.flush()).map_err(TrainError::io(&self.path))
    }

    /// Bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}
