//! Checkpoints: everything that a stage needs to go on as if it had never stopped.
use crate::error::TrainError;
use crate::kept::{STATE, load_policy, read_moments, read_state, save_moments, save_policy, write_state};
use crate::reference::tensors;
use crate::rows::Rows;
use crate::run::StageRun;
use crate::stage::Stage;
use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use std::path::Path;
use tropism_data::order::{Order, OrderState};
use tropism_lm::{Dims, FolderWriter, Loaded};
use tropism_ops::Scalar;

/// The small part of a checkpoint, in `state.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saved {
    /// the stage and its options: a checkpoint goes on only under the same
    pub stage: Stage,
    /// steps made
    pub step: usize,
    /// tokens computed
    pub tokens: usize,
    /// steps of the optimiser
    pub optimiser_steps: u64,
    /// where the order of the data stands
    pub order: OrderState,
    /// length of `metrics.jsonl` at this step
    pub metrics_bytes: u64,
}

impl Saved {
    /// Reads the state of a checkpoint; nothing when there is no checkpoint.
    ///
    /// # Errors
    /// A file that cannot be read as one.
    pub fn read(folder: &Path) -> Result<Option<Self>, TrainError> {
        read_state(folder)
    }
}

impl<'a, M: Dims, E: Scalar> StageRun<'a, M, E>
where
    Cpu: Device<E>,
{
    /// Writes a checkpoint; the one before is replaced only when the new one is whole. `metrics_bytes` is the length of the
    /// metrics file so far.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self, folder: &Path, metrics_bytes: u64) -> Result<(), TrainError> {
        let writer = FolderWriter::new(folder)?;
        save_policy(&self.policy, writer.path())?;
        let reference = self.reference.as_ref().map(tensors).unwrap_or_default();
        save_moments(&self.optimiser, reference, writer.path())?;
        let state = Saved {
            stage: self.stage.clone(),
            step: self.step,
            tokens: self.tokens,
            optimiser_steps: self.optimiser.steps,
            order: self.order.state(),
            metrics_bytes,
        };
        write_state(writer.path(), &state)?;
        Ok(writer.finish()?)
    }
}

impl<'a, E: Scalar> StageRun<'a, Loaded, E>
where
    Cpu: Device<E>,
{
    /// Goes on from a checkpoint of the same stage over the same rows. Returns the length of the metrics file then.
    ///
    /// # Errors
    /// A checkpoint that is broken, of another stage or of other data.
    pub fn restore(stage: &'a Stage, rows: &'a Rows, folder: &Path) -> Result<(Self, u64), TrainError> {
        let refuse = |problem: String| TrainError::Checkpoint { path: folder.join(STATE), problem };
        let saved = Saved::read(folder)?.ok_or_else(|| refuse("is missing; start the run again".into()))?;
        if saved.stage != *stage {
            return Err(refuse(format!("was made with other options of stage `{}`; start the run again", saved.stage.name)));
        }
        if saved.order.rows != rows.len() {
            let problem =
                format!("was made on {} rows, there are {} now; start the run again", saved.order.rows, rows.len());
            return Err(refuse(problem));
        }
        let policy = load_policy(stage, folder)?;
        let (moments, reference) = read_moments(folder)?;
        let mut run = Self::assemble(stage, rows, policy, reference, Order::restore(&saved.order)?);
        (run.step, run.tokens) = (saved.step, saved.tokens);
        (run.optimiser.steps, run.optimiser.moments) = (saved.optimiser_steps, moments);
        Ok((run, saved.metrics_bytes))
    }
}
