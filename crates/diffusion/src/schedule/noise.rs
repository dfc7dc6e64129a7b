//! Noise schedules of diffusions.

use super::{BetaSchedule, Level};
use crate::DiffusionError;

/// Variances `β_t` and cumulative products `ᾱ_t = Π (1 − β_s)` of `T` steps, `t = 0..T`, in f64.
///
/// ```
/// use tropism_diffusion::schedule::{BetaSchedule, NoiseSchedule};
///
/// let schedule = NoiseSchedule::new(BetaSchedule::Linear, 1000)?;
/// assert!((schedule.alpha_bar(499)? - 0.0785872429).abs() < 1e-9);
/// assert_eq!(schedule.with_zero_terminal_snr()?.alpha_bar(999)?, 0.0);
/// # Ok::<(), tropism_diffusion::DiffusionError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct NoiseSchedule {
    betas: Vec<f64>,
    alphas_bar: Vec<f64>,
}

/// The Gaussian `q(x_s | x_t, x₀)`: its mean is `data · x₀ + state · x_t`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Posterior {
    /// Factor of the data.
    pub data: f64,
    /// Factor of the state.
    pub state: f64,
    /// Variance of each dimension.
    pub variance: f64,
}

impl NoiseSchedule {
    /// A known schedule of `steps` steps.
    ///
    /// # Errors
    /// [`DiffusionError::Input`] without steps.
    pub fn new(kind: BetaSchedule, steps: usize) -> Result<Self, DiffusionError> {
        Self::from_betas(kind.betas(steps))
    }

    /// A schedule of given variances.
    ///
    /// # Errors
    /// [`DiffusionError::Input`] without any; [`DiffusionError::Value`] unless each is above 0 and at most 1.
    pub fn from_betas(betas: Vec<f64>) -> Result<Self, DiffusionError> {
        if betas.is_empty() {
            return Err(DiffusionError::Input { method: "noise schedule", problem: "there are no steps".to_owned() });
        }
        if let Some(row) = betas.iter().position(|&b| !(b > 0.0 && b <= 1.0)) {
            let requirement = "above 0 and at most 1";
            return Err(DiffusionError::Value { what: "beta", row, value: betas[row], requirement });
        }
        let mut product = 1.0;
        let alphas_bar = betas.iter().map(|b| {
            product *= 1.0 - b;
            product
        });
        let alphas_bar = alphas_bar.collect();
        Ok(Self { betas, alphas_bar })
    }

    /// The schedule with its last `ᾱ` moved to 0 and its first kept: `√ᾱ'_t = (√ᾱ_t − √ᾱ_{T−1}) √ᾱ_0 / (√ᾱ_0 − √ᾱ_{T−1})`.
    ///
    /// At the last time the sample is all noise, so a noise prediction says nothing about the data there; use `v` or the data.
    ///
    /// Source: arXiv 2305.08891, algorithm 1.
    ///
    /// # Errors
    /// [`DiffusionError::Input`] for a single step.
    pub fn with_zero_terminal_snr(&self) -> Result<Self, DiffusionError> {
        let roots: Vec<f64> = self.alphas_bar.iter().map(|&a| libm::sqrt(a)).collect();
        let (first, last) = (roots[0], roots[roots.len() - 1]);
        if roots.len() < 2 {
            let problem = "a single step cannot keep its signal and lose it; give at least 2".to_owned();
            return Err(DiffusionError::Input { method: "zero terminal SNR", problem });
        }
        let alphas_bar: Vec<f64> = roots.iter().map(|&s| (s - last) * (first / (first - last))).map(|s| s * s).collect();
        let mut before = 1.0;
        let betas = alphas_bar.iter().map(|&a| {
            let beta = 1.0 - a / before;
            before = a;
            beta
        });
        let betas = betas.collect();
        Ok(Self { betas, alphas_bar })
    }

    /// Number of steps `T`.
    pub fn steps(&self) -> usize {
        self.betas.len()
    }

    /// All `ᾱ`.
    pub fn alphas_bar(&self) -> &[f64] {
        &self.alphas_bar
    }

    /// All `β`.
    pub fn betas(&self) -> &[f64] {
        &self.betas
    }

    /// `ᾱ_t`.
    ///
    /// # Errors
    /// [`DiffusionError::Time`] for a time that the schedule does not have.
    pub fn alpha_bar(&self, t: usize) -> Result<f64, DiffusionError> {
        let problem = || format!("the schedule has times 0 to {}", self.steps() - 1);
        let found = self.alphas_bar.get(t).copied();
        found.ok_or_else(|| DiffusionError::Time { what: "noise schedule", t: t as f64, problem: problem() })
    }

    /// Signal and noise at time `t`.
    ///
    /// # Errors
    /// As [`alpha_bar`](Self::alpha_bar).
    pub fn level(&self, t: usize) -> Result<Level, DiffusionError> {
        Level::diffusion(self.alpha_bar(t)?)
    }

    /// Levels of one time per row.
    ///
    /// # Errors
    /// As [`alpha_bar`](Self::alpha_bar).
    pub fn levels(&self, times: &[usize]) -> Result<Vec<Level>, DiffusionError> {
        times.iter().map(|&t| self.level(t)).collect()
    }

    /// `q(x_s | x_t, x₀)` for a step from `t` down to `s`, or to the data itself for `None`.
    ///
    /// With `α = ᾱ_t/ᾱ_s` and `β = 1 − α`: `data = √ᾱ_s β/(1−ᾱ_t)`, `state = √α (1−ᾱ_s)/(1−ᾱ_t)`, `variance = β (1−ᾱ_s)/(1−ᾱ_t)`.
    ///
    /// Source: arXiv 2006.11239, equations 6 and 7, for steps that may be longer than one.
    ///
    /// # Errors
    /// [`DiffusionError::Time`] unless `s < t` are times of the schedule.
    pub fn posterior(&self, t: usize, s: Option<usize>) -> Result<Posterior, DiffusionError> {
        let (at, to) = (self.alpha_bar(t)?, s.map_or(Ok(1.0), |s| self.alpha_bar(s))?);
        if s.is_some_and(|s| s >= t) {
            let problem = format!("a step to {} does not go down", s.unwrap_or_default());
            return Err(DiffusionError::Time { what: "posterior", t: t as f64, problem });
        }
        let (alpha, noise) = (at / to, 1.0 - at);
        let beta = 1.0 - alpha;
        let share = (1.0 - to) / noise;
        Ok(Posterior { data: libm::sqrt(to) * beta / noise, state: libm::sqrt(alpha) * share, variance: beta * share })
    }
}
