//! SFT under other divergences: the implicit reward of each token.

use dfdx::prelude::*;
use tropism_core::{CoreError, Diagnostics, LossTerms, TokenLogps};

use super::{Outside, SftDivergence};
use crate::options::{any, options, positive};
use crate::{Batch, InputKind, Method, ObjectiveError};

options! {
    /// Options of [`f_sft_tokens()`].
    FSftTokens = "f_sft_tokens", "Implicit Reward as the Bridge: A Unified View of SFT and DPO Connections, arXiv 2507.00018" {
        /// Weight of the KL penalty, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
        /// The divergence from the demonstrations; Pearson's `χ²` by default.
        divergence: SftDivergence = SftDivergence::ChiSquared, with_divergence, any;
        /// What happens beyond the bounds of the divergence; along the tangent by default.
        outside: Outside = Outside::Tangent, with_outside, any;
    }
}

impl Method for FSftTokens {
    const INPUT: InputKind = InputKind::CompletionTokens;

    fn needs_reference(&self) -> bool {
        true
    }

    fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        batch: Batch<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
        let (policy, reference, _) = batch.into_completion_tokens(Self::NAME)?;
        f_sft_tokens(policy, crate::batch::need(Self::NAME, reference)?, self)
    }
}

/// The f-divergence SFT loss of `P` demonstrations, by token.
///
/// With the log-ratio `ℓ_t = lp_t − rf_t` of each completion token in nats and `φ` of the divergence ([`SftDivergence`]):
///
/// ```text
/// u_t = β ℓ_t     losses = −Σ_t φ(u_t)     weights = 1     ∂losses/∂lp_t = −β φ'(u_t)
/// ```
///
/// The loss is summed over tokens and averaged over demonstrations. Each token is held back by its own log-ratio, whatever the
/// length; of one token it is [`f_sft()`](crate::f_sft()).
///
/// Reports `rewards` (`Σ u_t`), `force` (the mean of `φ'(u_t)`, 0 for an empty row), `logps`, `lengths`.
///
/// Source: Implicit Reward as the Bridge: A Unified View of SFT and DPO Connections, arXiv 2507.00018; see
/// [`f_sft()`](crate::f_sft()).
///
/// # Errors
/// [`ObjectiveError::Config`]; [`ObjectiveError::Option`] for a reward outside the domain with `outside = "raw"`;
/// [`ObjectiveError::Core`] for sizes that differ, or a loss that is not finite.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::TokenLogps;
/// use tropism_objectives::{FSftTokens, f_sft_tokens};
///
/// let dev = Cpu::default();
/// let rows = |lp: [f64; 2]| TokenLogps::new(dev.tensor([lp]), &[true, true]);
/// let terms = f_sft_tokens(rows([-1.0, -2.0])?, rows([-1.5, -1.0])?, &FSftTokens::default().with_beta(1.0))?;
/// assert!((terms.values()[0] + (0.5 - 0.0625) + (-1.0 - 0.25)).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn f_sft_tokens<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: TokenLogps<P, C, E, D, T>,
    reference: TokenLogps<P, C, E, D>,
    config: &FSftTokens,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    same_tokens(FSftTokens::NAME, &policy, &reference)?;
    let columns = policy.size().1;
    let (ours, theirs) = (policy.values(), reference.values());
    let mut tally = Tally::default();
    let mut slopes = vec![0.0; ours.len()];
    for row in 0..policy.size().0 {
        tally.start();
        for i in (row * columns..(row + 1) * columns).filter(|&i| policy.mask()[i]) {
            let u = config.beta * (ours[i] - theirs[i]);
            let (value, slope) = config.divergence.reward(u, config.outside, (FSftTokens::NAME, row))?;
            tally.add(-value, u, slope, ours[i]);
            slopes[i] = -config.beta * slope;
        }
    }
    let (values, diagnostics) = tally.finish()?;
    Ok(LossTerms::new(policy.attach(&values, &slopes)?, vec![1.0; values.len()], diagnostics)?)
}

/// Fails unless policy and reference scored the same tokens.
pub(super) fn same_tokens<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    method: &'static str,
    policy: &TokenLogps<P, C, E, D, T>,
    reference: &TokenLogps<P, C, E, D>,
) -> Result<(), ObjectiveError> {
    CoreError::check_size("reference token logps", policy.mask().len(), reference.mask().len())?;
    match policy.mask().iter().zip(reference.mask()).position(|(p, r)| p != r) {
        None => Ok(()),
        Some(at) => {
            let (row, column) = (at / policy.size().1, at % policy.size().1);
            Err(ObjectiveError::OtherTokens { method, row, column })
        }
    }
}

/// Sums over the tokens of each row.
#[derive(Default)]
pub(super) struct Tally {
    losses: Vec<f64>,
    rewards: Vec<f64>,
    forces: Vec<f64>,
    logps: Vec<f64>,
    lengths: Vec<f64>,
}

impl Tally {
    /// Begins a row.
    pub(super) fn start(&mut self) {
        for sums in [&mut self.losses, &mut self.rewards, &mut self.forces, &mut self.logps, &mut self.lengths] {
            sums.push(0.0);
        }
    }

    /// Adds a token to the row.
    pub(super) fn add(&mut self, loss: f64, reward: f64, force: f64, logp: f64) {
        let sums = [&mut self.losses, &mut self.rewards, &mut self.forces, &mut self.logps, &mut self.lengths];
        for (sums, value) in sums.into_iter().zip([loss, reward, force, logp, 1.0]) {
            sums.iter_mut().next_back().into_iter().for_each(|sum| *sum += value);
        }
    }

    /// Losses per row, and what is reported.
    pub(super) fn finish(self) -> Result<(Vec<f64>, Diagnostics), CoreError> {
        CoreError::check_finite("loss", &self.losses)?;
        let mut diagnostics = Diagnostics::default();
        diagnostics.push("rewards", self.rewards)?;
        diagnostics.push("force", self.forces.iter().zip(&self.lengths).map(|(f, n)| f / n.max(1.0)).collect())?;
        diagnostics.push("logps", self.logps)?;
        diagnostics.push("lengths", self.lengths)?;
        Ok((self.losses, diagnostics))
    }
}
