//! Fitting a denoiser: seeded steps of AdamW on any loss of this crate, with checkpoints that go on to the same bits.
//!
//! A step's loss is a function of the network, of random numbers that belong to this step alone, and of a tape. So a run that was
//! stopped needs nothing but weights, moments and the number of its steps to go on as if it had not been.
//!
//! ```
//! use dfdx::prelude::*;
//! use tropism_core::{Diagnostics, LossTerms};
//! use tropism_diffusion::denoiser::{Condition, Denoiser, DenoiserError, Mlp, MlpConfig};
//! use tropism_diffusion::train::{TrainConfig, Training};
//!
//! let model: Mlp<f32> = Mlp::new(&MlpConfig::default(), 0)?;
//! let mut training = Training::new(model, TrainConfig { steps: 20, lr: 1e-2, ..TrainConfig::default() })?;
//! let mut losses = vec![];
//! training.run(
//!     // says (1, 1) whatever it sees
//!     |model, stream, tape| {
//!         let x: Tensor<(usize, usize), f32, _> = Cpu::default().tensor_from_vec(vec![stream.normal() as f32; 8], (4, 2));
//!         let error = model.predict(x.put_tape(tape), &[0.5; 4], &Condition::none())? - 1.0;
//!         let errors = error.square().mean::<(usize,), Axis<1>>();
//!         Ok(LossTerms::new(errors, vec![1.0; 4], Diagnostics::default())?)
//!     },
//!     |figures| losses.push(figures.loss),
//! )?;
//! assert!(losses[19] < losses[0] / 2.0);
//! # Ok::<(), DenoiserError>(())
//! ```

mod checkpoint;
mod config;
mod losses;
mod preferences;
mod process;

pub use config::TrainConfig;
pub use losses::{Errors, PolicyAndReference, denoising, errors_at, pair_errors, rows_of};
pub use preferences::Preferences;
pub use process::{Noised, Process, ProcessConfig};

use crate::Stream;
use crate::denoiser::{Denoiser, DenoiserError};
use dfdx::prelude::*;
use tropism_core::LossTerms;
use tropism_ops::{AdamW, Grads, Scalar, alloc_grads, grad_norm, tape_into};

/// The tape of a training step.
pub type Traced<E> = OwnedTape<E, Cpu>;
/// The loss of a training step, a term per row.
pub type Loss<E> = LossTerms<usize, E, Cpu, Traced<E>>;

/// Streams of random numbers below this one are for others.
const STREAMS: u64 = 1 << 63;

/// A network in training.
#[derive(Debug)]
pub struct Training<M, E: Dtype> {
    model: M,
    config: TrainConfig,
    optimizer: AdamW<E>,
    done: u64,
    /// zeros between steps
    grads: Option<Gradients<E, Cpu>>,
}

/// What a step measured.
#[derive(Clone, Debug, PartialEq)]
pub struct StepFigures {
    /// the step, counted from 0
    pub step: u64,
    /// mean loss of its rows
    pub loss: f64,
    /// norm of all gradients, before clipping
    pub grad_norm: f64,
    /// the learning rate
    pub lr: f64,
    /// means of the loss's diagnostics, in its order
    pub diagnostics: Vec<(&'static str, f64)>,
}

impl<M: Denoiser<E>, E: Scalar> Training<M, E>
where
    Cpu: Device<E>,
{
    /// Starts from a network, at step 0 and with moments of 0.
    ///
    /// # Errors
    /// Options that cannot be used.
    pub fn new(model: M, config: TrainConfig) -> Result<Self, DenoiserError> {
        config.check()?;
        let mut optimizer = AdamW::new(config.weight_decay);
        optimizer.betas = config.betas;
        optimizer.eps = config.eps;
        Ok(Training { model, config, optimizer, done: 0, grads: None })
    }

    /// The network as it is now.
    pub fn model(&self) -> &M {
        &self.model
    }

    /// The network, when training is over.
    pub fn into_model(self) -> M {
        self.model
    }

    /// Options.
    pub fn config(&self) -> &TrainConfig {
        &self.config
    }

    /// Steps made.
    pub fn done(&self) -> u64 {
        self.done
    }

    /// Whether all steps are made.
    pub fn is_done(&self) -> bool {
        self.done >= self.config.steps
    }

    /// One step down the mean of a loss, which is given the network, random numbers of this step and a tape to put on its first
    /// input.
    ///
    /// # Errors
    /// Those of the loss; a loss or gradient that is not finite, before it reaches a weight.
    pub fn step(
        &mut self,
        loss: impl FnOnce(&M, &mut Stream, Traced<E>) -> Result<Loss<E>, DenoiserError>,
    ) -> Result<StepFigures, DenoiserError> {
        let (step, lr) = (self.done, self.config.rate(self.done));
        let mut stream = Stream::new(self.config.seed, STREAMS | step);
        let grads: Grads<E> = match self.grads.take() {
            Some(grads) => grads,
            None => alloc_grads(&self.model)?,
        };
        let terms = loss(&self.model, &mut stream, tape_into(&Cpu::default(), grads))?;
        let means = terms.diagnostics.names().into_iter().filter_map(|n| Some((n, terms.diagnostics.mean(n)?)));
        let diagnostics = means.collect();
        let mean = terms.mean()?;
        let value = mean.array().f();
        let finite = |what, value: f64| match value.is_finite() {
            true => Ok(value),
            false => Err(DenoiserError::NotFinite { step, what, value }),
        };
        let value = finite("loss", value)?;
        let mut grads = mean.try_backward().map_err(DenoiserError::device)?;
        let norm = finite("gradient's norm", grad_norm(&self.model, &mut grads)?)?;
        let scale = self.config.clip(norm);
        self.optimizer.step(&mut self.model, &mut grads, lr, scale)?;
        (self.grads, self.done) = (Some(grads), step + 1);
        Ok(StepFigures { step, loss: value, grad_norm: norm, lr, diagnostics })
    }

    /// The steps that are left, one after the other; `each` sees what they measured.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn run(
        &mut self,
        mut loss: impl FnMut(&M, &mut Stream, Traced<E>) -> Result<Loss<E>, DenoiserError>,
        mut each: impl FnMut(&StepFigures),
    ) -> Result<(), DenoiserError> {
        while !self.is_done() {
            each(&self.step(&mut loss)?);
        }
        Ok(())
    }
}
