//! The clipped ratio of policy gradients, for one number per row.

use tropism_core::{CoreError, Diagnostics};

use crate::DiffusionError;

/// Losses `max(−A ρ, −A clamp(ρ, 1−c, 1+c))` with `ρ = exp(logp − old)`, their slopes in `logp`, and the ratios.
pub(crate) struct Clipped {
    pub(crate) losses: Vec<f64>,
    pub(crate) slopes: Vec<f64>,
    ratios: Vec<f64>,
    clip: f64,
}

/// Evaluates all rows.
pub(crate) fn clipped(logps: &[f64], old: &[f64], advantages: &[f64], clip: f64) -> Result<Clipped, DiffusionError> {
    CoreError::check_size("advantages", logps.len(), advantages.len())?;
    CoreError::check_size("old logps", logps.len(), old.len())?;
    CoreError::check_finite("advantage", advantages)?;
    CoreError::check_finite("old logps", old)?;
    let ratios: Vec<f64> = logps.iter().zip(old).map(|(p, o)| libm::exp(p - o)).collect();
    CoreError::check_finite("ratio of densities", &ratios)?;
    let one = |(&ratio, &a): (&f64, &f64)| {
        let plain = -a * ratio;
        let bound = -a * ratio.clamp(1.0 - clip, 1.0 + clip);
        // At a bound itself both are the same and the gradient flows.
        if plain >= bound { (plain, plain) } else { (bound, 0.0) }
    };
    let (losses, slopes) = ratios.iter().zip(advantages).map(one).unzip();
    Ok(Clipped { losses, slopes, ratios, clip })
}

impl Clipped {
    /// Ratios, the share beyond the bounds, and advantages.
    pub(crate) fn diagnostics(&self, advantages: &[f64]) -> Result<Diagnostics, DiffusionError> {
        let beyond = self.ratios.iter().map(|r| f64::from(u8::from((r - 1.0).abs() > self.clip))).collect();
        let mut found = Diagnostics::default();
        found.push("ratio", self.ratios.clone())?;
        found.push("clip_ratio", beyond)?;
        found.push("advantages", advantages.to_vec())?;
        Ok(found)
    }
}
