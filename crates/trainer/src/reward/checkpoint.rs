//! Checkpoints of stages that train a reward model.
use super::options::RewardModelOptions;
use super::run::RewardRun;
use crate::error::TrainError;
use crate::kept::{STATE, exact, load_policy, read_moments, read_state, save_moments, save_policy, write_state};
use crate::rows::Rows;
use crate::stage::Stage;
use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use std::path::Path;
use tropism_data::order::{Order, OrderState};
use tropism_lm::{Dims, FolderWriter, Headed, Heads, Loaded};
use tropism_ops::Scalar;

/// The small part of the checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    stage: Stage<RewardModelOptions>,
    step: usize,
    tokens: usize,
    optimiser_steps: u64,
    order: OrderState,
    metrics_bytes: u64,
}

impl<M: Dims, E: Scalar> RewardRun<'_, M, E>
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
        save_policy(&self.model.trunk, writer.path())?;
        self.model.heads.save(writer.path(), exact::<E>())?;
        save_moments(&self.optimiser, vec![], writer.path())?;
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

impl<'a, E: Scalar> RewardRun<'a, Loaded, E>
where
    Cpu: Device<E>,
{
    /// Goes on from a checkpoint of the same stage over the same rows, to the same bits. Returns the length of the metrics file
    /// then.
    ///
    /// # Errors
    /// A checkpoint that is broken, of another stage or of other data.
    pub fn restore(stage: &'a Stage<RewardModelOptions>, rows: &'a Rows, folder: &Path) -> Result<(Self, u64), TrainError> {
        stage.check_rows(rows)?;
        let refuse = |problem: String| TrainError::Checkpoint { path: folder.join(STATE), problem };
        let saved: Saved = read_state(folder)?.ok_or_else(|| refuse("is missing; start the run again".into()))?;
        if saved.stage != *stage {
            return Err(refuse(format!("was made with other options of stage `{}`; start the run again", saved.stage.name)));
        }
        if saved.order.rows != rows.len() {
            let (was, is) = (saved.order.rows, rows.len());
            return Err(refuse(format!("was made on {was} rows, there are {is} now; start the run again")));
        }
        let trunk = load_policy(stage, folder)?;
        let heads = Heads::load(folder, trunk.dims.hidden())?;
        let mut run = Self::assemble(stage, rows, Headed { trunk, heads }, Order::restore(&saved.order)?);
        let (moments, _) = read_moments(folder)?;
        (run.step, run.tokens) = (saved.step, saved.tokens);
        (run.optimiser.steps, run.optimiser.moments) = (saved.optimiser_steps, moments);
        Ok((run, saved.metrics_bytes))
    }
}
