//! The meanings of an output, and the way from one to another.

use serde::{Deserialize, Serialize};

use crate::DiffusionError;
use crate::schedule::Level;

/// What the output of a network means.
///
/// All are linear in data and noise, so with `x_t = signal · x₀ + noise · ε` each determines the others: one table of factors serves
/// diffusions and flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prediction {
    /// The noise `ε`.
    #[default]
    Noise,
    /// The data `x₀`.
    Data,
    /// `v = signal · ε − noise · x₀`; arXiv 2202.00512.
    V,
    /// The velocity `ε − x₀` of a flow; arXiv 2210.02747, 2209.03003. Codes whose time runs from noise to data have its negative.
    Velocity,
}

/// A linear function of the state and the network's output at that state: `state · x_t + output · ŷ`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Linear {
    /// Factor of `x_t`.
    pub state: f64,
    /// Factor of the output.
    pub output: f64,
}

impl Prediction {
    /// Factors of the data and the noise in what is predicted.
    pub fn factors(self, level: Level) -> (f64, f64) {
        match self {
            Self::Noise => (0.0, 1.0),
            Self::Data => (1.0, 0.0),
            Self::V => (-level.noise, level.signal),
            Self::Velocity => (-1.0, 1.0),
        }
    }

    /// How far the output determines the data beside the state: `signal · q − noise · p` for factors `p` and `q`.
    fn determinant(self, level: Level) -> f64 {
        let (data, noise) = self.factors(level);
        level.signal * noise - level.noise * data
    }

    /// The estimate of `other` that follows from this prediction.
    ///
    /// `x̂₀ = (x − √(1−ᾱ) ε̂)/√ᾱ` from noise, `√ᾱ x − √(1−ᾱ) v̂` from `v`, `x − t û` from a flow's velocity, and so on.
    ///
    /// # Errors
    /// [`DiffusionError::Time`] where the output says nothing about it: the data from noise where no signal is left, the noise from the
    /// data where there is no noise.
    ///
    /// ```
    /// use tropism_diffusion::prediction::{Linear, Prediction};
    /// use tropism_diffusion::schedule::Level;
    ///
    /// let data = Prediction::Velocity.to(Prediction::Data, Level::flow(0.4)?)?;
    /// assert_eq!(data, Linear { state: 1.0, output: -0.4 });
    /// assert!(Prediction::Noise.to(Prediction::Data, Level { signal: 0.0, noise: 1.0 }).is_err());
    /// # Ok::<(), tropism_diffusion::DiffusionError>(())
    /// ```
    pub fn to(self, other: Self, level: Level) -> Result<Linear, DiffusionError> {
        if self == other {
            return Ok(Linear { state: 0.0, output: 1.0 });
        }
        let determinant = self.checked(other, level)?;
        let ((p, q), (p_other, q_other)) = (self.factors(level), other.factors(level));
        let state = (q * p_other - p * q_other) / determinant;
        Ok(Linear { state, output: other.determinant(level) / determinant })
    }

    /// How much larger the squared error of this prediction is than that of `other`: `‖ŷ − y‖² = factor · ‖ŷ' − y'‖²`, exact for each
    /// sample.
    ///
    /// `SNR` for noise against data, `1/(1−ᾱ)` for `v` against data, `1/t²` for a flow's velocity against data, `1/(1−t)²` against
    /// noise. Where `ᾱ` is near 0, factors towards data or `v` from noise explode; do not weight by them there.
    ///
    /// # Errors
    /// [`DiffusionError::Time`] where `other` says nothing about this.
    ///
    /// ```
    /// use tropism_diffusion::prediction::Prediction;
    /// use tropism_diffusion::schedule::Level;
    ///
    /// assert!((Prediction::Velocity.error_factor(Prediction::Data, Level::flow(0.4)?)? - 6.25).abs() < 1e-12);
    /// # Ok::<(), tropism_diffusion::DiffusionError>(())
    /// ```
    pub fn error_factor(self, other: Self, level: Level) -> Result<f64, DiffusionError> {
        if self == other {
            return Ok(1.0);
        }
        let ratio = self.determinant(level) / other.checked(self, level)?;
        Ok(ratio * ratio)
    }

    /// The determinant, unless it is 0.
    fn checked(self, other: Self, level: Level) -> Result<f64, DiffusionError> {
        let determinant = self.determinant(level);
        if determinant != 0.0 {
            return Ok(determinant);
        }
        let problem = format!(
            "{self:?} says nothing about {other:?} where signal is {} and noise {}; use another prediction or leave this time out",
            level.signal, level.noise
        );
        Err(DiffusionError::Time { what: "conversion", t: level.noise, problem })
    }
}
