//! Noised samples, targets of training, and squared errors per sample.

use dfdx::prelude::*;
use tropism_core::CoreError;
use tropism_core::numerics::to_f64;

use super::Prediction;
use crate::DiffusionError;
use crate::schedule::Level;
use crate::tensors::{attach_rows, combine, size};

/// `x_t = signal · x₀ + noise · ε`, with one level per row.
///
/// # Errors
/// [`DiffusionError::Shape`]; [`DiffusionError::Core`] unless there is one level per row.
pub fn noised<B: Dim, D: Dim, E: Dtype, V: Device<E>>(
    data: &Tensor<(B, D), E, V>,
    noise: &Tensor<(B, D), E, V>,
    levels: &[Level],
) -> Result<Tensor<(B, D), E, V>, DiffusionError> {
    CoreError::check_size("levels", size(data).0, levels.len())?;
    combine(&[(data, &|row| levels[row].signal), (noise, &|row| levels[row].noise)])
}

/// What a network of the given prediction should have said: the noise, the data, `v`, or `ε − x₀`.
///
/// # Errors
/// As [`noised`].
pub fn targets<B: Dim, D: Dim, E: Dtype, V: Device<E>>(
    prediction: Prediction,
    data: &Tensor<(B, D), E, V>,
    noise: &Tensor<(B, D), E, V>,
    levels: &[Level],
) -> Result<Tensor<(B, D), E, V>, DiffusionError> {
    CoreError::check_size("levels", size(data).0, levels.len())?;
    combine(&[(data, &|row| prediction.factors(levels[row]).0), (noise, &|row| prediction.factors(levels[row]).1)])
}

/// The squared error of each sample, **averaged over its dimensions**: `e = mean_D (ŷ − y)²`, `[B]`, with
/// `∂e/∂ŷ = (2/D)(ŷ − y)`. The target is a constant.
///
/// # Errors
/// [`DiffusionError::Shape`]; [`DiffusionError::Core`] for an error that is not finite.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_diffusion::prediction::squared_errors;
///
/// let dev = Cpu::default();
/// let output = dev.tensor([[0.3_f64, -0.7]]);
/// let errors = squared_errors(output.leaky_trace(), &dev.tensor([[0.5, -1.0]]))?;
/// assert!((errors.array()[0] - 0.065).abs() < 1e-12);
/// let slopes = errors.sum().backward().get(&output).array();
/// assert!((slopes[0][0] + 0.2).abs() < 1e-12 && (slopes[0][1] - 0.3).abs() < 1e-12);
/// # Ok::<(), tropism_diffusion::DiffusionError>(())
/// ```
pub fn squared_errors<B: Dim, D: Dim, E: Dtype, V: Device<E>, T: Tape<E, V>>(
    output: Tensor<(B, D), E, V, T>,
    target: &Tensor<(B, D), E, V>,
) -> Result<Tensor<(B,), E, V, T>, DiffusionError> {
    let (rows, columns) = size(&output);
    DiffusionError::check_shape("target", (rows, columns), size(target))?;
    let offs: Vec<f64> = to_f64(&output).iter().zip(to_f64(target)).map(|(y, t)| y - t).collect();
    let values: Vec<f64> = offs.chunks(columns).map(|row| row.iter().map(|d| d * d).sum::<f64>() / columns as f64).collect();
    CoreError::check_finite("squared error", &values)?;
    let slopes: Vec<f64> = offs.iter().map(|d| 2.0 / columns as f64 * d).collect();
    attach_rows(&values, output, &slopes)
}
