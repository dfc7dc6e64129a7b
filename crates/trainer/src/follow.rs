//! The loop that all stages of language models share.
use crate::error::TrainError;
use crate::metrics::{Metrics, StepMetrics};
use crate::progress::Progress;
use std::path::Path;

/// A stage in motion, step by step.
pub(crate) trait Steps {
    /// The next step; `None` at the end.
    fn step(&mut self) -> Result<Option<StepMetrics>, TrainError>;

    /// Whether a checkpoint is due after the steps that were taken; not after the last, where the stage's result follows.
    fn is_due(&self) -> bool;

    /// Writes a checkpoint.
    fn keep(&self, folder: &Path, metrics_bytes: u64) -> Result<(), TrainError>;

    /// Runs to the end. Where a server ends the run, a checkpoint is written first.
    fn follow(
        &mut self,
        metrics: &mut Metrics,
        folder: &Path,
        progress: &Progress,
        mut each: impl FnMut(&StepMetrics),
    ) -> Result<(), TrainError> {
        loop {
            let m = match self.step() {
                Ok(Some(m)) => m,
                Ok(None) => break,
                Err(e) => return Err(e.kept_by(|| self.keep(folder, metrics.bytes()))),
            };
            metrics.write(&m)?;
            progress.step(&m);
            each(&m);
            if self.is_due() {
                self.keep(folder, metrics.bytes())?;
            }
        }
        progress.finish();
        Ok(())
    }
}

/// [`Steps`] of a run by its own `next_step`, `save`, `step` and `total`.
macro_rules! steps {
    ($run:ident) => {
        impl<M: Dims, E: Scalar> crate::follow::Steps for $run<'_, M, E>
        where
            Cpu: Device<E>,
        {
            fn step(&mut self) -> Result<Option<StepMetrics>, TrainError> {
                self.next_step()
            }
            fn is_due(&self) -> bool {
                let every = self.stage.checkpoint_every;
                every > 0 && self.step.is_multiple_of(every) && self.step < self.total()
            }
            fn keep(&self, folder: &Path, metrics_bytes: u64) -> Result<(), TrainError> {
                self.save(folder, metrics_bytes)
            }
        }
    };
}
pub(crate) use steps;
