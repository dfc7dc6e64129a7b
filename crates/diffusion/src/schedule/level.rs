//! How much of the data and of the noise is in a sample.

use crate::DiffusionError;

/// Signal and noise of `x_t = signal · x₀ + noise · ε`.
///
/// ```
/// use tropism_diffusion::schedule::Level;
///
/// assert_eq!(Level::flow(0.25)?, Level { signal: 0.75, noise: 0.25 });
/// assert_eq!(Level::diffusion(0.36).map(|level| (level.signal, level.noise)), Ok((0.6, 0.8)));
/// # Ok::<(), tropism_diffusion::DiffusionError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// Factor of the data.
    pub signal: f64,
    /// Factor of the noise.
    pub noise: f64,
}

impl Level {
    /// Data without noise.
    pub const CLEAN: Self = Self { signal: 1.0, noise: 0.0 };

    /// The level of a diffusion whose cumulative product of `1 − β` is `alpha_bar`: `√ᾱ` and `√(1−ᾱ)`.
    ///
    /// # Errors
    /// [`DiffusionError::Value`] unless it is from 0 to 1.
    pub fn diffusion(alpha_bar: f64) -> Result<Self, DiffusionError> {
        let requirement = "from 0 to 1";
        match (0.0..=1.0).contains(&alpha_bar) {
            true => Ok(Self { signal: libm::sqrt(alpha_bar), noise: libm::sqrt(1.0 - alpha_bar) }),
            false => Err(DiffusionError::Value { what: "alpha_bar", row: 0, value: alpha_bar, requirement }),
        }
    }

    /// The level of a rectified flow at time `t`: `1 − t` and `t`.
    ///
    /// # Errors
    /// [`DiffusionError::Time`] unless `t` is from 0 to 1.
    pub fn flow(t: f64) -> Result<Self, DiffusionError> {
        match (0.0..=1.0).contains(&t) {
            true => Ok(Self { signal: 1.0 - t, noise: t }),
            false => {
                Err(DiffusionError::Time { what: "flow", t, problem: "times go from 0 (data) to 1 (noise)".to_owned() })
            }
        }
    }

    /// Signal-to-noise ratio `signal²/noise²`; infinite without noise.
    pub fn snr(self) -> f64 {
        (self.signal / self.noise) * (self.signal / self.noise)
    }
}
