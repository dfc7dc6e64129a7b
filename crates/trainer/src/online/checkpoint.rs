//! Checkpoints of stages that sample.
use super::engine::Remote;
use super::gather::{Environment, PromptRow};
use super::options::PolicyGradientOptions;
use super::process::Process;
use super::run::OnlineRun;
use crate::error::TrainError;
use crate::kept::{STATE, exact, load_policy, read_moments, read_state, save_moments, save_policy, write_state};
use crate::stage::Stage;
use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use std::path::Path;
use tropism_data::order::{Order, OrderState};
use tropism_data::stream::{Stream, StreamState};
use tropism_lm::{Decoder, Dims, FolderWriter, Headed, Heads, Loaded};
use tropism_ops::Scalar;

/// Where a checkpoint keeps the process reward model.
const PROCESS: &str = "process_reward_model";

/// The small part of a checkpoint of a stage that samples, in `state.json`. Checkpoints are made between steps, when no
/// rollout is under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedOnline {
    /// the stage and its options: a checkpoint goes on only under the same
    pub stage: Stage<PolicyGradientOptions>,
    /// steps made
    pub step: usize,
    /// tokens computed
    pub tokens: usize,
    /// steps of the optimiser
    pub optimiser_steps: u64,
    /// where the order of the prompts stands
    pub order: OrderState,
    /// where the seeds of the rollouts stand
    pub rollouts: StreamState,
    /// where the shuffles of mini-batches stand
    pub shuffles: StreamState,
    /// steps of the process reward model's optimiser
    #[serde(default)]
    pub process_steps: u64,
    /// length of `metrics.jsonl` at this step
    pub metrics_bytes: u64,
}

impl Stage<PolicyGradientOptions> {
    /// What has to be the same for a checkpoint to go on.
    fn kept(&self) -> Self {
        let mut stage = self.clone();
        stage.objective.rollout = self.objective.rollout.kept();
        stage
    }
}

impl<M: Dims, E: Scalar> OnlineRun<'_, M, E>
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
        save_policy(&self.policy.trunk, writer.path())?;
        if self.stage.objective.has_critic() {
            self.policy.heads.save(writer.path(), exact::<E>())?;
        }
        save_moments(&self.optimiser, vec![], writer.path())?;
        self.engine.iter().try_for_each(|e| e.save(writer.path()))?;
        if let Some(process) = &self.process {
            let path = writer.path().join(PROCESS);
            std::fs::create_dir_all(&path).map_err(TrainError::io(&path))?;
            save_policy(&process.model, &path)?;
            save_moments(&process.optimiser, vec![], &path)?;
        }
        let state = SavedOnline {
            stage: self.stage.clone(),
            step: self.step,
            tokens: self.tokens,
            optimiser_steps: self.optimiser.steps,
            order: self.order.state(),
            rollouts: self.rollouts.state(),
            shuffles: self.shuffles.state(),
            process_steps: self.process.as_ref().map_or(0, |p| p.optimiser.steps),
            metrics_bytes,
        };
        write_state(writer.path(), &state)?;
        Ok(writer.finish()?)
    }
}

impl<'a, E: Scalar> OnlineRun<'a, Loaded, E>
where
    Cpu: Device<E>,
{
    /// Goes on from a checkpoint of the same stage over the same prompts, to the same bits. Returns the length of the metrics
    /// file then.
    ///
    /// # Errors
    /// A checkpoint that is broken, of another stage or of other prompts; as [`OnlineRun::new`].
    pub fn restore(
        stage: &'a Stage<PolicyGradientOptions>,
        prompts: &'a [PromptRow],
        reference: Option<Decoder<Loaded, E>>,
        environment: Environment<'a>,
        folder: &Path,
    ) -> Result<(Self, u64), TrainError> {
        stage.check_prompts(prompts, &environment)?;
        let refuse = |problem: String| TrainError::Checkpoint { path: folder.join(STATE), problem };
        let saved: SavedOnline = read_state(folder)?.ok_or_else(|| refuse("is missing; start the run again".into()))?;
        if saved.stage.kept() != stage.kept() {
            return Err(refuse(format!("was made with other options of stage `{}`; start the run again", saved.stage.name)));
        }
        if saved.order.rows != prompts.len() {
            let (was, is) = (saved.order.rows, prompts.len());
            return Err(refuse(format!("was made on {was} prompts, there are {is} now; start the run again")));
        }
        let trunk = load_policy(stage, folder)?;
        let hidden = trunk.dims.hidden();
        let heads = match stage.objective.has_critic() {
            true => Heads::load(folder, hidden)?,
            false => Heads::random(hidden, &[], 0.0, 0)?,
        };
        let (moments, _) = read_moments(folder)?;
        let order = Order::restore(&saved.order)?;
        let streams = [Stream::restore(&saved.rollouts), Stream::restore(&saved.shuffles)];
        let mut run = Self::assemble(stage, prompts, Headed { trunk, heads }, reference, environment, order, streams)?;
        (run.step, run.tokens) = (saved.step, saved.tokens);
        run.engine = Remote::restore(&stage.objective.rollout, folder)?;
        (run.optimiser.steps, run.optimiser.moments) = (saved.optimiser_steps, moments);
        if stage.objective.process_rewards.is_some() {
            let path = folder.join(PROCESS);
            let mut process = Process::new(stage, load_policy(stage, &path)?);
            (process.optimiser.steps, process.optimiser.moments) = (saved.process_steps, read_moments(&path)?.0);
            run.process = Some(process);
        }
        Ok((run, saved.metrics_bytes))
    }
}
