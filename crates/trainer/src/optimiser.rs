//! The optimiser that a stage's options describe, and one step of it.
use crate::error::TrainError;
use crate::stage::{Precision, Stage};
use dfdx::prelude::*;
use tropism_ops::{AdamW, Grads, MomentFormat, Params, Scalar, grad_norm};

impl<O> Stage<O> {
    /// AdamW with the stage's options and no moments yet.
    pub(crate) fn optimiser<E: Scalar>(&self) -> AdamW<E> {
        let mut optimiser = AdamW::new(self.weight_decay);
        (optimiser.betas, optimiser.eps) = (self.betas, self.eps);
        if self.optimizer_state == Precision::Bf16 {
            optimiser.format = MomentFormat::Bf16;
        }
        optimiser
    }
}

/// One step on gradients that are sums over rows of weight `weight`, scaled down to `max_norm`: the norm before that. `rows`
/// names the rows in the error about a norm that is not finite.
pub(crate) fn clipped_step<E: Scalar>(
    (model, optimiser): (&mut impl Params<E>, &mut AdamW<E>),
    grads: &mut Grads<E>,
    (lr, weight, max_norm): (f64, f64, f64),
    (stage, step): (&str, usize),
    rows: impl FnOnce() -> String,
) -> Result<f64, TrainError>
where
    Cpu: Device<E>,
{
    let scale = 1.0 / weight;
    let norm = grad_norm(model, grads)? * scale;
    if !norm.is_finite() {
        return Err(TrainError::Gradient { stage: stage.to_owned(), step, value: norm, rows: rows() });
    }
    let clip = (max_norm / (norm + 1e-6)).min(1.0);
    optimiser.step(model, grads, lr, scale * clip)?;
    Ok(norm)
}
