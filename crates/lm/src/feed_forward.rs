//! The feed-forward part of a layer.
use crate::error::LmError;
use crate::linear::{Linear, Rows};
use dfdx::prelude::*;
use tropism_ops::{Activation, FrozenFormat, Precision, Scalar, TapeOf, activate, gated};

/// `down(act(gate(x)) * up(x))`, or `down(act(up(x)))` without a gate.
#[derive(Clone, Debug)]
pub struct FeedForward<H: Dim, F: Dim, E: Dtype> {
    /// `mlp.gate_proj`
    pub gate: Option<Linear<H, F, E>>,
    /// `mlp.up_proj`, in GPT-2 `mlp.c_fc`
    pub up: Linear<H, F, E>,
    /// `mlp.down_proj`, in GPT-2 `mlp.c_proj`
    pub down: Linear<F, H, E>,
    /// the curve
    pub activation: Activation,
}

impl<H: Dim, F: Dim, E: Scalar> FeedForward<H, F, E>
where
    Cpu: Device<E>,
{
    pub(crate) fn frozen(&self, format: FrozenFormat) -> Self {
        let gate = self.gate.as_ref().map(|g| g.frozen(format));
        FeedForward { gate, up: self.up.frozen(format), down: self.down.frozen(format), activation: self.activation }
    }

    fn inner<T: TapeOf<E>>(&self, x: Rows<H, E, T>, precision: Precision) -> Result<Rows<F, E, T>, LmError> {
        let Some(gate) = &self.gate else {
            return Ok(activate(self.up.forward(x, precision)?, self.activation)?);
        };
        let g = gate.forward(x.with_empty_tape(), precision)?;
        Ok(gated(g, self.up.forward(x, precision)?, self.activation)?)
    }

    pub(crate) fn forward<T: TapeOf<E>>(&self, x: Rows<H, E, T>, precision: Precision) -> Result<Rows<H, E, T>, LmError> {
        self.down.forward(self.inner(x, precision)?, precision)
    }

    /// The same onto the residual stream.
    pub(crate) fn forward_onto<T: TapeOf<E>>(
        &self,
        x: Rows<H, E, T>,
        residual: Rows<H, E, T>,
        precision: Precision,
    ) -> Result<Rows<H, E, T>, LmError> {
        self.down.forward_onto(self.inner(x, precision)?, residual, precision)
    }
}
