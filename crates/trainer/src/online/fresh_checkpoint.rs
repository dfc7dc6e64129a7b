//! Checkpoints of stages that make their rows.
use super::engine::Remote;
use super::fresh::FreshOptions;
use super::fresh_run::FreshRun;
use super::gather::{Environment, PromptRow};
use crate::error::TrainError;
use crate::kept::{STATE, exact, load_policy, read_moments, read_state, save_moments, save_policy, write_state};
use crate::stage::Stage;
use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use std::path::Path;
use tropism_data::order::{Order, OrderState};
use tropism_data::stream::{Stream, StreamState};
use tropism_lm::{Decoder, Dims, FolderWriter, LanguageHeads, Loaded, load};
use tropism_ops::Scalar;

/// The small part of such a stage's checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    stage: Stage<FreshOptions>,
    step: usize,
    tokens: usize,
    optimiser_steps: u64,
    order: OrderState,
    rollouts: StreamState,
    metrics_bytes: u64,
}

/// Where a checkpoint keeps a reference that has moved.
const REFERENCE: &str = "reference";

impl<M: Dims, E: Scalar> FreshRun<'_, M, E>
where
    Cpu: Device<E>,
{
    /// Writes a checkpoint; the one before is replaced only when the new one is whole.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self, folder: &Path, metrics_bytes: u64) -> Result<(), TrainError> {
        let writer = FolderWriter::new(folder)?;
        match &self.heads {
            Some(heads) => heads.save(writer.path(), exact::<E>())?,
            None => save_policy(&self.policy, writer.path())?,
        }
        save_moments(&self.optimiser, vec![], writer.path())?;
        self.engine.iter().try_for_each(|e| e.save(writer.path()))?;
        self.replay.iter().try_for_each(|r| r.save(writer.path()))?;
        if let (true, Some(reference)) = (self.stage.objective.reference_every > 0, &self.reference) {
            let path = writer.path().join(REFERENCE);
            std::fs::create_dir_all(&path).map_err(TrainError::io(&path))?;
            reference.save(&path, exact::<E>())?;
        }
        let state = Saved {
            stage: self.stage.clone(),
            step: self.step,
            tokens: self.tokens,
            optimiser_steps: self.optimiser.steps,
            order: self.order.state(),
            rollouts: self.rollouts.state(),
            metrics_bytes,
        };
        write_state(writer.path(), &state)?;
        Ok(writer.finish()?)
    }
}

impl<'a, E: Scalar> FreshRun<'a, Loaded, E>
where
    Cpu: Device<E>,
{
    /// Goes on from a checkpoint of the same stage over the same prompts, to the same bits; `reference` is the one that the
    /// stage began with. Returns the length of the metrics file then.
    ///
    /// # Errors
    /// A checkpoint that is broken, of another stage or of other prompts; as [`FreshRun::new`].
    pub fn restore(
        stage: &'a Stage<FreshOptions>,
        prompts: &'a [PromptRow],
        reference: Option<Decoder<Loaded, E>>,
        environment: Environment<'a>,
        folder: &Path,
    ) -> Result<(Self, u64), TrainError> {
        stage.check_prompts(prompts, &environment)?;
        let refuse = |problem: String| TrainError::Checkpoint { path: folder.join(STATE), problem };
        let saved: Saved = read_state(folder)?.ok_or_else(|| refuse("is missing; start the run again".into()))?;
        if saved.stage.kept() != stage.kept() {
            return Err(refuse(format!("was made with other options of stage `{}`; start the run again", saved.stage.name)));
        }
        if saved.order.rows != prompts.len() {
            let (was, is) = (saved.order.rows, prompts.len());
            return Err(refuse(format!("was made on {was} prompts, there are {is} now; start the run again")));
        }
        let moved = folder.join(REFERENCE);
        let reference = match reference {
            Some(_) if moved.exists() => Some(load(&moved, |c| Ok(Loaded::new(c)))?),
            given => given,
        };
        let (policy, (moments, _)) = (load_policy(stage, folder)?, read_moments(folder)?);
        let (order, rollouts) = (Order::restore(&saved.order)?, Stream::restore(&saved.rollouts));
        let mut run = Self::assemble(stage, prompts, policy, reference, environment, order, rollouts)?;
        if stage.objective.heads.is_some() {
            run.set_heads(LanguageHeads::load(folder, |c| Ok(Loaded::new(c)))?)?;
        }
        (run.step, run.tokens) = (saved.step, saved.tokens);
        run.replay.iter_mut().try_for_each(|r| r.restore(folder))?;
        run.engine = Remote::restore(&stage.objective.rollout, folder)?;
        (run.optimiser.steps, run.optimiser.moments) = (saved.optimiser_steps, moments);
        Ok((run, saved.metrics_bytes))
    }
}
