//! SFT under other divergences: the implicit reward of a whole demonstration.

use dfdx::prelude::*;
use tropism_core::numerics::{attach, to_f64};
use tropism_core::{CoreError, Diagnostics, LossTerms, SequenceLogps};

use super::{Outside, SftDivergence};
use crate::diagnostics::check_lengths;
use crate::options::{any, options, positive};
use crate::{Batch, InputKind, Method, ObjectiveError};

options! {
    /// Options of [`f_sft()`].
    FSft = "f_sft", "Implicit Reward as the Bridge: A Unified View of SFT and DPO Connections, arXiv 2507.00018" {
        /// Weight of the KL penalty, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
        /// The divergence from the demonstrations; Pearson's `χ²` by default.
        divergence: SftDivergence = SftDivergence::ChiSquared, with_divergence, any;
        /// What happens beyond the bounds of the divergence; along the tangent by default.
        outside: Outside = Outside::Tangent, with_outside, any;
    }
}

impl Method for FSft {
    const INPUT: InputKind = InputKind::Completions;

    fn needs_reference(&self) -> bool {
        true
    }

    fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        batch: Batch<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
        let (policy, reference, _) = batch.into_completions(Self::NAME)?;
        f_sft(policy, crate::batch::need(Self::NAME, reference)?, self)
    }
}

/// The f-divergence SFT loss of `P` demonstrations, by sequence.
///
/// With the summed log-ratio `h = lp − rf` in nats and `φ` of the divergence ([`SftDivergence`]):
///
/// ```text
/// u = β h     losses = −φ(u)     weights = 1     ∂losses/∂lp = −β φ'(u)
/// ```
///
/// The mean is over demonstrations, not over tokens. With total variation the gradient is that of [`sft()`](crate::sft()) times
/// `β`, summed per row, and the reference plays no part in it; the other divergences push a demonstration less the further it
/// stands above the reference. `u` grows with length: with long completions take a small `β`, or the form by token,
/// [`f_sft_tokens()`](crate::f_sft_tokens()).
///
/// Reports `rewards` (`u`), `force` (`φ'(u)`, what is left of the force of SFT), `logps`, `lengths`.
///
/// Source: Implicit Reward as the Bridge: A Unified View of SFT and DPO Connections, arXiv 2507.00018, rebuilt from its abstract:
/// which form the paper uses is not known. The bounds of Hellinger and Jensen–Shannon are ours.
///
/// # Errors
/// [`ObjectiveError::Config`]; [`ObjectiveError::Option`] for a reward outside the domain with `outside = "raw"`;
/// [`ObjectiveError::UnevenLengths`]; [`ObjectiveError::Core`] for numbers of rows that differ, or a loss that is not finite.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::SequenceLogps;
/// use tropism_objectives::{FSft, f_sft};
///
/// let dev = Cpu::default();
/// let rows = |lp: f64| SequenceLogps::new(dev.tensor([lp]), &[3]);
/// let terms = f_sft(rows(-2.3)?, rows(-3.0)?, &FSft::default().with_beta(1.0))?;
/// assert!((terms.values()[0] + 0.5775).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn f_sft<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: SequenceLogps<P, E, D, T>,
    reference: SequenceLogps<P, E, D>,
    config: &FSft,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    CoreError::check_size("reference logps", policy.rows(), reference.rows())?;
    let (logps, lengths) = (to_f64(&policy.logps), to_f64(&policy.lengths));
    check_lengths("the", &lengths, &to_f64(&reference.lengths))?;
    let ratios = logps.iter().zip(to_f64(&reference.logps)).map(|(p, r)| p - r);
    let rewards: Vec<f64> = ratios.map(|h| config.beta * h).collect();
    let (mut values, mut forces) = (Vec::new(), Vec::new());
    for (row, &u) in rewards.iter().enumerate() {
        let (value, slope) = config.divergence.reward(u, config.outside, (FSft::NAME, row))?;
        values.push(-value);
        forces.push(slope);
    }
    let slopes = forces.iter().map(|f| -config.beta * f).collect();
    CoreError::check_finite("loss", &values)?;
    let mut diagnostics = Diagnostics::default();
    diagnostics.push("rewards", rewards)?;
    diagnostics.push("force", forces)?;
    diagnostics.push("logps", logps)?;
    diagnostics.push("lengths", lengths)?;
    Ok(LossTerms::new(attach(&values, [(policy.logps, slopes)])?, vec![1.0; values.len()], diagnostics)?)
}
