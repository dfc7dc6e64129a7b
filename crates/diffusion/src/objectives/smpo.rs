//! SmPO-Diffusion: margins smoothed by scores of a reward model, at inverted points.

use dfdx::prelude::*;
use tropism_core::options::{finite, positive};
use tropism_core::{Column, Domain, LossTerms};

use super::PairErrors;
use super::method::{method, options};
use super::shared::{check_values, logistic_terms};
use crate::DiffusionError;

options! {
    /// Options of [`smpo()`].
    Smpo = "smpo", "Smoothed Preference Optimization via ReNoise Inversion for Aligning Diffusion Models, arXiv 2506.02698" {
        /// Strength `β > 0`, on errors averaged over dimensions; 2000 (SD1.5) by default, 5000 for SDXL.
        beta: f64 = 2000.0, with_beta, positive;
    }
}

options! {
    /// How two scores become a factor; the range is that of the scores of the whole training set.
    Smoothing = "smoothing" {
        /// Sensitivity `γ > 0`; 10 by default.
        gamma: f64 = 10.0, with_gamma, positive;
        /// Smallest score; by default of PickScore on Pick-a-Pic v2.
        min: f64 = 0.115_435_265_004_634_86, with_min, finite;
        /// Largest score.
        max: f64 = 0.282_015_711_069_107_06, with_max, finite;
    }
}

impl Smoothing {
    /// The factor of a pair, `f = γ (2P − 1) = γ tanh((r'_w − r'_l)/2)` with `r' = (r − min)/(max − min)` and
    /// `P = e^{r'_w}/(e^{r'_w} + e^{r'_l})`: 0 for a tie, at most `γ tanh(½) = 0.4621 γ` within the range.
    ///
    /// # Errors
    /// [`DiffusionError::Option`]; [`DiffusionError::Input`] unless `min < max`; [`DiffusionError::Value`] for scores that are not
    /// finite, or a chosen one below the rejected one: the winner of a pair is the member with the higher score.
    ///
    /// ```
    /// use tropism_diffusion::objectives::Smoothing;
    ///
    /// let factor = Smoothing::default().factor(0.225, 0.205)?;
    /// assert!((factor - 0.5995904742).abs() < 1e-9);
    /// # Ok::<(), tropism_diffusion::DiffusionError>(())
    /// ```
    pub fn factor(&self, chosen: f64, rejected: f64) -> Result<f64, DiffusionError> {
        self.check()?;
        if self.min >= self.max {
            let problem = format!("the range of scores from {} to {} is empty", self.min, self.max);
            return Err(DiffusionError::Input { method: Self::NAME, problem });
        }
        let gap = chosen - rejected;
        if !(gap.is_finite() && gap >= 0.0) {
            let requirement = "finite and at least 0; swap the members of the pair";
            return Err(DiffusionError::Value {
                what: "chosen score above the rejected one",
                row: 0,
                value: gap,
                requirement,
            });
        }
        Ok(self.gamma * libm::tanh(gap / (self.max - self.min) / 2.0))
    }
}

method!(Smpo, Pairs(policy, reference), [Column::row("factor", Domain::NotNegative)], |this, read| {
    smpo(policy, reference, &read("factor"), this)
});

/// The SmPO loss of `P` pairs with the factors of [`Smoothing::factor`].
///
/// ```text
/// z = −(β/2) f [(e^θ_w − e^ref_w) − (e^θ_l − e^ref_l)]
/// losses = −log σ(z)     weights = 1
/// ∂losses/∂e^θ_w = (β f/2) σ(−z)      ∂losses/∂e^θ_l = −(β f/2) σ(−z)
/// ```
///
/// Errors are to the noise `τ` that inversion recovers ([`recovered_noise`](crate::sample::recovered_noise)) at the inverted point
/// ([`invert`](crate::sample::invert) with ReNoise, the current policy, no guidance, no gradient). `f = 0` gives `ln 2` and no
/// gradient; `f = 1` is [`diffusion_dpo()`](super::diffusion_dpo()) at those points.
///
/// Typical factors are 0.3 to 2 and so the effective `β` is smaller than it looks: compare with Diffusion-DPO at the same mean factor.
///
/// Source: arXiv 2506.02698, in the form of the authors' `train.py`. There factor and time are read from the first row of a batch,
/// which is right for batches of one, and the inverted point stops at the last point of a grid below the time; here each row has its
/// own.
///
/// # Errors
/// [`DiffusionError::Option`]; [`DiffusionError::Value`] for a factor that is negative; [`DiffusionError::Core`] for different
/// numbers of rows or a loss that is not finite.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_diffusion::objectives::{PairErrors, Smpo, smpo};
///
/// let dev = Cpu::default();
/// let policy = PairErrors::new(dev.tensor([0.065_f64]), dev.tensor([0.26]))?;
/// let reference = PairErrors::new(dev.tensor([0.125]), dev.tensor([0.10]))?;
/// let terms = smpo(policy, reference, &[0.5995904742], &Smpo::default().with_beta(20.0))?;
/// assert!((terms.values()[0] - 0.2369486906).abs() < 1e-9);
/// # Ok::<(), tropism_diffusion::DiffusionError>(())
/// ```
pub fn smpo<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairErrors<P, E, D, T>,
    reference: PairErrors<P, E, D>,
    factors: &[f64],
    config: &Smpo,
) -> Result<LossTerms<P, E, D, T>, DiffusionError> {
    config.check()?;
    check_values("factor", factors, policy.rows(), (|f| f >= 0.0, "finite and at least 0"))?;
    logistic_terms(policy, Some(&reference), |row| config.beta * factors[row] / 2.0)
}
