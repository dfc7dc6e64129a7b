//! Direct preference optimisation with the logistic (sigmoid) link.

use dfdx::prelude::*;
use tropism_core::{LossTerms, PairLogps};

use crate::ObjectiveError;
use crate::link::logistic;
use crate::method::on_pairs;
use crate::options::{any, options, positive};
use crate::pairwise::{Divergence, Reference, Scored, Scoring};

options! {
    /// Options of [`dpo()`].
    Dpo = "dpo", "Direct Preference Optimization and its standard loss variants, arXiv 2305.18290" {
        /// Weight of the implicit KL penalty, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
        /// A reference model (`"model"`, the default) or none (`"uniform"`).
        reference: Reference = Reference::Model, with_reference, any;
        /// Divergence from the reference; reverse KL by default.
        divergence: Divergence = Divergence::ReverseKl, with_divergence, Divergence::check;
    }
}

on_pairs!(Dpo, dpo, |c| c.reference == Reference::Model);

/// The DPO loss of `P` pairs.
///
/// With log-ratios `h = lp − rf` of summed log-probabilities in nats, turned into scores `s(h)` by the divergence
/// (`s = h` by default):
///
/// ```text
/// z = β (s_w − s_l)
/// losses = −log σ(z)     weights = 1
/// ∂losses/∂lp_w = −β σ(−z) s'(h_w)      ∂losses/∂lp_l = +β σ(−z) s'(h_l)
/// ```
///
/// Rewards are `β h`. At `policy = reference` the loss is `ln 2` and the reward margins are 0 (ties, which count as wrong
/// in `rewards/accuracies`); a first step that shows anything else points to dropout or to different tokens. With
/// `reference = "uniform"`, `h = lp`.
///
/// Source: Rafailov et al. 2023, arXiv 2305.18290, equation 7; TRL's loss type `sigmoid`. The authors' code and early TRL
/// put label smoothing inside this loss; that is [`cdpo()`](crate::cdpo()) here.
///
/// # Errors
/// [`ObjectiveError::Config`]; [`ObjectiveError::MissingReference`] or [`ObjectiveError::UnusedReference`];
/// [`ObjectiveError::UnevenLengths`] when policy and reference counted different tokens; [`ObjectiveError::Core`] for
/// different numbers of rows or a loss that is not finite.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{Dpo, dpo};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-10.0_f64]), dev.tensor([-12.0]), &[5], &[8])?;
/// let reference = PairLogps::new(dev.tensor([-11.0_f64]), dev.tensor([-11.5]), &[5], &[8])?;
/// let terms = dpo(policy, reference, &Dpo::default())?;
/// assert!((terms.values()[0] - 0.62095705).abs() < 1e-8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn dpo<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: impl Into<Option<PairLogps<P, E, D>>>,
    config: &Dpo,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let scoring = Scoring { reference: config.reference, ..Scoring::under(config.divergence) };
    Scored::new(Dpo::NAME, policy, reference.into(), &scoring, config.beta)?.by_margin(config.beta, logistic)
}
