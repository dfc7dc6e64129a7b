//! Samplers of flows: Euler steps of the ODE, and the SDE with the same marginals.

use super::{Kernel, Move};
use crate::DiffusionError;
use crate::prediction::Prediction;
use crate::schedule::Level;

/// Euler steps of the flow's ODE along descending `times`: `x ← x + (t' − t) û`.
///
/// Usual times are [`flow_times`](crate::schedule::flow_times), from 1 to 0. `diffusers` takes others by default; give them to get the
/// same.
///
/// # Errors
/// [`DiffusionError::Input`] unless there are two times that descend; [`DiffusionError::Time`] outside 0 to 1, and where the prediction
/// says nothing about the velocity.
pub fn euler_moves(prediction: Prediction, times: &[f64]) -> Result<Vec<Move>, DiffusionError> {
    moves("euler", times, |t, next| {
        let velocity = prediction.to(Prediction::Velocity, Level::flow(t)?)?;
        let dt = next - t;
        Ok(Kernel { state: 1.0 + dt * velocity.state, output: dt * velocity.output, std: 0.0 })
    })
}

/// Steps of an SDE with the marginals of the flow, along descending `times`. With `σ_t = a √(t/(1−t))` and `dt = t' − t < 0`:
///
/// ```text
/// mean = x (1 + σ² dt/(2t)) + û (1 + σ² (1−t)/(2t)) dt      std = σ √(−dt)
/// ```
///
/// At `t = 1`, where `σ` is infinite, the denominator is that of the next time, as in the authors' code.
///
/// Source: Flow-GRPO, arXiv 2505.05470; its code steps so with `a = 0.7`.
///
/// # Errors
/// As [`euler_moves`]; [`DiffusionError::Value`] unless `a` is positive and finite.
pub fn sde_moves(prediction: Prediction, times: &[f64], a: f64) -> Result<Vec<Move>, DiffusionError> {
    moves("flow SDE", times, |t, next| {
        let sigma = sde_level(t, next, a)?;
        let velocity = prediction.to(Prediction::Velocity, Level::flow(t)?)?;
        let (dt, variance) = (next - t, sigma * sigma);
        let pull = (1.0 + variance * (1.0 - t) / (2.0 * t)) * dt;
        let state = 1.0 + variance * dt / (2.0 * t) + pull * velocity.state;
        Ok(Kernel { state, output: pull * velocity.output, std: sigma * libm::sqrt(-dt) })
    })
}

/// `σ_t = a √(t/(1−t))`, with `1 − next` for `1 − t` at `t = 1`.
///
/// # Errors
/// [`DiffusionError::Time`] unless `0 ≤ next < t ≤ 1`; [`DiffusionError::Value`] unless `a` is positive and finite.
pub fn sde_level(t: f64, next: f64, a: f64) -> Result<f64, DiffusionError> {
    if !(a > 0.0 && a.is_finite()) {
        return Err(DiffusionError::Value { what: "noise level", row: 0, value: a, requirement: "positive and finite" });
    }
    if !(0.0 <= next && next < t && t <= 1.0) {
        let problem = format!("the next time {next} must lie between 0 and it, and it must not exceed 1");
        return Err(DiffusionError::Time { what: "flow SDE", t, problem });
    }
    let denominator = if t == 1.0 { 1.0 - next } else { 1.0 - t };
    Ok(a * libm::sqrt(t / denominator))
}

/// A move from each time to the next.
fn moves(
    method: &'static str,
    times: &[f64],
    kernel: impl Fn(f64, f64) -> Result<Kernel, DiffusionError>,
) -> Result<Vec<Move>, DiffusionError> {
    let descend = times.windows(2).all(|w| w[1] < w[0]);
    if times.len() < 2 || !descend {
        let problem = "give at least two times that descend, such as from 1 to 0".to_owned();
        return Err(DiffusionError::Input { method, problem });
    }
    times.windows(2).map(|w| Ok(Move { t: w[0], kernel: kernel(w[0], w[1])? })).collect()
}
