//! Stages that distil.
use super::folder::RunFolder;
use super::pipeline::{Trained, load_stage, start_of_stage};
use super::prepare::{Model, Prepared};
use crate::error::XtaskError;
use tropism_trainer::{DistilOptions, DistilRun, DistilSource, Metrics, Progress, Stage, checkpointed_stage};

/// From the start or from the checkpoint.
pub(super) fn train(
    run: &RunFolder,
    prepared: &Prepared,
    stage: &Stage<DistilOptions>,
    policy: Model,
) -> Result<Trained, XtaskError> {
    let (checkpoint, log) = (run.checkpoint(), run.metrics());
    let o = &stage.objective;
    let teachers = [load_stage(run, prepared, &o.favoured)?, load_stage(run, prepared, &o.other)?];
    let rows = if o.on_policy() { vec![] } else { prepared.chosen_of(stage)? };
    prepared.sampled_by(|environment| {
        let source = match o.on_policy() {
            true => DistilSource::Prompts(&prepared.questions, environment),
            false => DistilSource::Rows(&rows),
        };
        let (mut training, mut metrics) = match checkpointed_stage(&checkpoint)? {
            Some(name) if name == stage.name => {
                let (training, bytes) = DistilRun::restore(stage, source, teachers, &checkpoint)?;
                (training, Metrics::resume(&log, bytes)?)
            }
            _ => {
                let training = DistilRun::new(stage, source, policy, teachers, prepared.config.seed)?;
                (training, start_of_stage(&log, &stage.name)?)
            }
        };
        let progress = Progress::new(&stage.name, training.total(), training.done());
        training.run(&mut metrics, &checkpoint, &progress, |_| {})?;
        let (steps, tokens) = (training.done(), training.tokens());
        Ok((training.into_policy(), steps, tokens))
    })
}
