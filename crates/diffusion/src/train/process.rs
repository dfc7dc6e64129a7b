//! How data become noise, for training, and back, for sampling.
use super::rows_of;
use crate::denoiser::{Condition, Denoiser, DenoiserError, Rows, asked};
use crate::prediction::{Prediction, noised, targets};
use crate::sample::{Ddim, Move, ddim_moves, euler_moves, sample};
use crate::schedule::{BetaSchedule, Level, NoiseSchedule, flow_times, logit_normal_time, sampling_times};
use crate::{DiffusionError, Stream};
use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use tropism_ops::Scalar;

/// A [`Process`] as a configuration file writes it: `{ kind = "diffusion", steps = 100 }` or `{ kind = "flow" }`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum ProcessConfig {
    /// over a noise schedule, with training times drawn evenly
    Diffusion {
        /// its variances
        #[serde(default)]
        schedule: BetaSchedule,
        /// times
        #[serde(default = "thousand")]
        steps: usize,
        /// what the network predicts
        #[serde(default)]
        prediction: Prediction,
    },
    /// the rectified flow, predicting velocities
    Flow {
        /// training times are `σ(mean + sd · N(0, 1))` when this is given, else even
        #[serde(default, skip_serializing_if = "Option::is_none")]
        logit_normal: Option<[f64; 2]>,
    },
}

fn thousand() -> usize {
    1000
}

/// How data become noise, and what a network predicts on the way.
#[derive(Clone, Debug, PartialEq)]
pub struct Process {
    path: Path,
    prediction: Prediction,
}

#[derive(Clone, Debug, PartialEq)]
enum Path {
    Schedule(NoiseSchedule),
    Flow(Option<[f64; 2]>),
}

/// Noised samples, and what a network should say of them.
#[derive(Clone, Debug)]
pub struct Noised<E: Dtype> {
    /// `[B, D]`
    pub x: Rows<E>,
    /// what should be predicted, `[B, D]`
    pub target: Rows<E>,
    /// times as networks read them, 0 to 1
    pub times: Vec<f64>,
}

impl ProcessConfig {
    /// The process.
    ///
    /// # Errors
    /// A schedule without steps; a distribution of times without spread.
    pub fn build(&self) -> Result<Process, DiffusionError> {
        match self {
            ProcessConfig::Diffusion { schedule, steps, prediction } => {
                Ok(Process::diffusion(NoiseSchedule::new(*schedule, *steps)?, *prediction))
            }
            ProcessConfig::Flow { logit_normal } => {
                if let Some(value) =
                    logit_normal.and_then(|[mean, sd]| match mean.is_finite() && sd >= 0.0 && sd.is_finite() {
                        true => None,
                        false => Some(sd),
                    })
                {
                    let requirement = "0 or more and finite, and its mean finite";
                    return Err(DiffusionError::Value { what: "logit_normal", row: 1, value, requirement });
                }
                Ok(Process::flow(*logit_normal))
            }
        }
    }
}

impl Process {
    /// A diffusion over a schedule.
    pub fn diffusion(schedule: NoiseSchedule, prediction: Prediction) -> Self {
        Process { path: Path::Schedule(schedule), prediction }
    }

    /// The rectified flow with velocities; training times are even, or `σ(mean + sd · N(0, 1))`.
    pub fn flow(logit_normal: Option<[f64; 2]>) -> Self {
        Process { path: Path::Flow(logit_normal), prediction: Prediction::Velocity }
    }

    /// What networks predict.
    pub fn prediction(&self) -> Prediction {
        self.prediction
    }

    /// What a sampler's times are divided by before a network reads them: `T`, or 1 for a flow.
    pub fn scale(&self) -> f64 {
        match &self.path {
            Path::Schedule(s) => s.steps() as f64,
            Path::Flow(_) => 1.0,
        }
    }

    /// Times of training, as samplers count them.
    pub fn draw_times(&self, n: usize, stream: &mut Stream) -> Vec<f64> {
        let mut one = || match &self.path {
            Path::Schedule(s) => stream.below(s.steps()) as f64,
            Path::Flow(None) => stream.uniform(),
            Path::Flow(Some([mean, sd])) => logit_normal_time(stream, *mean, *sd),
        };
        (0..n).map(|_| one()).collect()
    }

    /// Signal and noise at a time.
    ///
    /// # Errors
    /// A time that the process does not have.
    pub fn level(&self, t: f64) -> Result<Level, DiffusionError> {
        match &self.path {
            Path::Schedule(s) => s.level(t as usize),
            Path::Flow(_) => Level::flow(t),
        }
    }

    /// Data with noise at a time per row.
    ///
    /// # Errors
    /// Shapes that disagree; times that the process does not have.
    pub fn noise<E: Scalar>(&self, data: &Rows<E>, noise: &Rows<E>, times: &[f64]) -> Result<Noised<E>, DiffusionError>
    where
        Cpu: Device<E>,
    {
        let levels = times.iter().map(|&t| self.level(t)).collect::<Result<Vec<_>, _>>()?;
        Ok(Noised {
            x: noised(data, noise, &levels)?,
            target: targets(self.prediction, data, noise, &levels)?,
            times: times.iter().map(|t| t / self.scale()).collect(),
        })
    }

    /// Deterministic moves from noise to data: DDIM with η = 0, or Euler's.
    ///
    /// # Errors
    /// More moves than the schedule has times, or none.
    pub fn moves(&self, steps: usize) -> Result<Vec<Move>, DiffusionError> {
        match &self.path {
            Path::Schedule(s) => ddim_moves(s, self.prediction, &sampling_times(s.steps(), steps)?, &Ddim::default()),
            Path::Flow(_) => euler_moves(self.prediction, &flow_times(steps)?),
        }
    }

    /// Samples of a network for `rows` rows of a condition, by `steps` deterministic moves from noise drawn from `stream`, a few rows at
    /// a time.
    ///
    /// # Errors
    /// Those of the network; a condition of another number of rows.
    pub fn sample<E: Scalar>(
        &self,
        model: &impl Denoiser<E>,
        condition: &Condition<E>,
        rows: usize,
        steps: usize,
        stream: &mut Stream,
    ) -> Result<Vec<f64>, DenoiserError>
    where
        Cpu: Device<E>,
    {
        let (moves, width) = (self.moves(steps)?, model.width());
        let mut samples = Vec::with_capacity(rows * width);
        // about a million numbers in a layer of a small network
        let most = (1 << 16) / width.max(64);
        for first in (0..rows).step_by(most) {
            let at: Vec<usize> = (first..(first + most).min(rows)).collect();
            let start = rows_of(&stream.normals(at.len() * width), width)?;
            let part = condition.rows(&at)?;
            let x = sample(asked(model, &part, self.scale()), &moves, &start, stream)?;
            samples.extend(tropism_ops::data(&x).iter().map(|v| v.f()));
        }
        Ok(samples)
    }
}
