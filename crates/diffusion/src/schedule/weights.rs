//! Weights of errors by time.

use super::{Level, NoiseSchedule};
use crate::DiffusionError;
use crate::prediction::Prediction;

/// The min-SNR weight of a squared error of the given prediction: `min(SNR, γ)` on errors of the data, and what equals it on others
/// (`min(SNR, γ)/SNR` on noise, `min(SNR, γ)/(SNR + 1)` on `v`).
///
/// Source: arXiv 2303.09556; `γ = 5` there.
///
/// # Errors
/// [`DiffusionError::Time`] where errors of the prediction say nothing about the data.
///
/// ```
/// use tropism_diffusion::prediction::Prediction;
/// use tropism_diffusion::schedule::{Level, min_snr_weight};
///
/// let level = Level::diffusion(0.9)?; // a signal-to-noise ratio of 9
/// assert!((min_snr_weight(Prediction::Noise, level, 5.0)? - 5.0 / 9.0).abs() < 1e-12);
/// assert!((min_snr_weight(Prediction::V, level, 5.0)? - 0.5).abs() < 1e-12);
/// # Ok::<(), tropism_diffusion::DiffusionError>(())
/// ```
pub fn min_snr_weight(prediction: Prediction, level: Level, gamma: f64) -> Result<f64, DiffusionError> {
    Ok(level.snr().min(gamma) * Prediction::Data.error_factor(prediction, level)?)
}

/// The weight of `‖·‖²`, summed over dimensions, of the given prediction's error in the evidence bound's term of time `t ≥ 1`: the KL
/// divergence in nats of the posterior from a reverse step with the posterior's variance, `½ (SNR_{t−1} − SNR_t) ‖x₀ − x̂₀‖²`.
///
/// With another `variance` of the reverse step the part that depends on the prediction is `(β̃_t / variance)` times this.
///
/// # Errors
/// [`DiffusionError::Time`] for `t = 0`, where the posterior is a point, for times that the schedule does not have, and where errors
/// of the prediction say nothing about the data.
pub fn elbo_weight(
    schedule: &NoiseSchedule,
    prediction: Prediction,
    t: usize,
    variance: Option<f64>,
) -> Result<f64, DiffusionError> {
    let level = schedule.level(t)?;
    let Some(before) = t.checked_sub(1) else {
        let problem = "the first step has no KL term, its posterior is a point".to_owned();
        return Err(DiffusionError::Time { what: "evidence bound", t: 0.0, problem });
    };
    let posterior = schedule.posterior(t, Some(before))?;
    // The posterior's mean moves by `data` times the error of the data.
    let on_data = posterior.data * posterior.data / (2.0 * variance.unwrap_or(posterior.variance));
    Ok(on_data * Prediction::Data.error_factor(prediction, level)?)
}
