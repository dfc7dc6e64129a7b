//! The Gaussian step that all samplers are made of, and its log-density.

use dfdx::prelude::*;
use tropism_core::CoreError;
use tropism_core::numerics::to_f64;

use crate::DiffusionError;
use crate::prediction::{Linear, squared_errors};
use crate::tensors::{attach_rows, combine, size};

/// The step `x_s = state · x_t + output · ŷ + std · z` with `z ~ N(0, I)` and `ŷ` the network's output at `x_t`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kernel {
    /// Factor of the state.
    pub state: f64,
    /// Factor of the output.
    pub output: f64,
    /// Standard deviation of each dimension; 0 for a deterministic step.
    pub std: f64,
}

impl Kernel {
    /// A step to `Σ factor · estimate`, of estimates that are linear in state and output.
    pub(crate) fn of(estimates: &[(f64, Linear)], std: f64) -> Self {
        let sum = |part: fn(&Linear) -> f64| {
            // An estimate that does not count may have factors that are not finite.
            estimates.iter().filter(|(f, _)| *f != 0.0).map(|(f, linear)| f * part(linear)).sum()
        };
        Self { state: sum(|l| l.state), output: sum(|l| l.output), std }
    }

    /// The mean of the next state.
    ///
    /// # Errors
    /// [`DiffusionError::Shape`].
    pub fn mean<B: Dim, D: Dim, E: Dtype, V: Device<E>>(
        &self,
        state: &Tensor<(B, D), E, V>,
        output: &Tensor<(B, D), E, V>,
    ) -> Result<Tensor<(B, D), E, V>, DiffusionError> {
        combine(&[(state, &|_| self.state), (output, &|_| self.output)])
    }

    /// The next state for standard normals `noise`.
    ///
    /// # Errors
    /// [`DiffusionError::Shape`].
    pub fn next<B: Dim, D: Dim, E: Dtype, V: Device<E>>(
        &self,
        state: &Tensor<(B, D), E, V>,
        output: &Tensor<(B, D), E, V>,
        noise: &Tensor<(B, D), E, V>,
    ) -> Result<Tensor<(B, D), E, V>, DiffusionError> {
        combine(&[(state, &|_| self.state), (output, &|_| self.output), (noise, &|_| self.std)])
    }
}

/// The log-density of each row's step in nats, **averaged over dimensions**, with one kernel per row:
/// `mean_D[−(x_s − μ)²/(2σ²)] − log σ − ½ log 2π` with `μ = state · x_t + output · ŷ`, so `∂/∂ŷ = output (x_s − μ)/(σ² D)`.
///
/// States are constants; the gradient flows to the network's output. Times `D` it is the log-density of the whole sample.
///
/// # Errors
/// [`DiffusionError::Value`] for a kernel without noise, whose density does not exist (the last step of DDIM to the data, DDIM with
/// `eta = 0`, Euler steps); [`DiffusionError::Shape`]; [`DiffusionError::Core`] unless there is one kernel per row, or for a
/// log-density that is not finite.
pub fn step_logps<B: Dim, D: Dim, E: Dtype, V: Device<E>, T: Tape<E, V>>(
    kernels: &[Kernel],
    state: &Tensor<(B, D), E, V>,
    output: Tensor<(B, D), E, V, T>,
    next: &Tensor<(B, D), E, V>,
) -> Result<Tensor<(B,), E, V, T>, DiffusionError> {
    let (rows, columns) = size(&output);
    CoreError::check_size("kernels", rows, kernels.len())?;
    DiffusionError::check_shape("state", (rows, columns), size(state))?;
    DiffusionError::check_shape("next state", (rows, columns), size(next))?;
    check_noise(kernels)?;
    let (x, y, to) = (to_f64(state), to_f64(&output), to_f64(next));
    let (mut values, mut slopes) = (Vec::with_capacity(rows), Vec::with_capacity(x.len()));
    for (row, k) in kernels.iter().enumerate() {
        let (variance, mut sum) = (k.std * k.std, 0.0);
        for i in row * columns..(row + 1) * columns {
            let off = to[i] - k.state * x[i] - k.output * y[i];
            sum += off * off;
            slopes.push(k.output * off / (variance * columns as f64));
        }
        let scale = libm::log(k.std) + 0.5 * libm::log(std::f64::consts::TAU);
        values.push(-sum / (2.0 * variance * columns as f64) - scale);
    }
    CoreError::check_finite("step log-density", &values)?;
    attach_rows(&values, output, &slopes)
}

/// How far the network's step lies from a reference's: `mean_D (μ − μ_ref)²/(2σ²)` per row, which is the KL divergence of two steps of
/// the same variance in nats per dimension.
///
/// `variances` replaces `σ²` of the kernels: Flow-GRPO divides by `σ_t²` of its SDE without the length of the step.
///
/// # Errors
/// As [`step_logps`].
pub fn step_deviations<B: Dim, D: Dim, E: Dtype, V: Device<E>, T: Tape<E, V>>(
    kernels: &[Kernel],
    output: Tensor<(B, D), E, V, T>,
    reference: &Tensor<(B, D), E, V>,
    variances: Option<&[f64]>,
) -> Result<Tensor<(B,), E, V, T>, DiffusionError> {
    CoreError::check_size("kernels", size(&output).0, kernels.len())?;
    check_noise(kernels)?;
    if let Some(variances) = variances {
        CoreError::check_size("variances", kernels.len(), variances.len())?;
        if let Some(row) = variances.iter().position(|&v| !(v > 0.0 && v.is_finite())) {
            let requirement = "positive and finite";
            return Err(DiffusionError::Value { what: "variance", row, value: variances[row], requirement });
        }
    }
    let variance = |row: usize| variances.map_or(kernels[row].std * kernels[row].std, |v| v[row]);
    let errors = squared_errors(output, reference)?;
    let factors: Vec<f64> = kernels.iter().enumerate().map(|(row, k)| k.output * k.output / (2.0 * variance(row))).collect();
    let factors: Tensor<(B,), E, V> = tropism_core::numerics::from_f64(errors.device(), &factors, *errors.shape())?;
    Ok(errors.try_mul(factors).map_err(CoreError::device)?)
}

/// Fails on the first kernel without a density.
fn check_noise(kernels: &[Kernel]) -> Result<(), DiffusionError> {
    match kernels.iter().position(|k| !(k.std > 0.0 && k.std.is_finite())) {
        None => Ok(()),
        Some(row) => Err(DiffusionError::Value {
            what: "standard deviation of the step",
            row,
            value: kernels[row].std,
            requirement: "positive and finite: a step without noise has no density; use eta > 0 and leave out the step to the data",
        }),
    }
}
