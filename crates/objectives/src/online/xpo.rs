//! Exploratory preference optimisation: online DPO that moves away from the reference's samples.

use dfdx::prelude::*;
use tropism_core::numerics::attach;
use tropism_core::{CoreError, Diagnostics, LossTerms, PairLogps};

use crate::diagnostics::PairFigures;
use crate::options::{not_negative, options, pair_method};
use crate::{Batch, Column, Domain, Dpo, InputKind, Method, Objective, ObjectiveError};

options! {
    /// Options of [`xpo()`].
    Xpo = "xpo", "Exploratory Preference Optimization: Harnessing Implicit Q*-Approximation for Sample-Efficient RLHF, arXiv 2405.21046" {
        /// Weight of optimism, `α ≥ 0`; 1e-5 by default. Keep it far below the `beta` of `base`.
        alpha: f64 = 1e-5, with_alpha, not_negative;
        /// The loss of the labelled pair, a method on pairs; DPO by default.
        base: Box<Objective> = Box::new(Dpo::default().into()), with_base, |m, k, b: &Objective| pair_method(m, k, b);
    }
}

/// 1 where the policy's sample won, 0 where the reference's did.
const POLICY_WON: Column = Column::row("policy_sample_chosen", Domain::Flag);

impl Method for Xpo {
    const INPUT: InputKind = InputKind::Pairs;

    fn needs_reference(&self) -> bool {
        self.base.needs_reference()
    }

    fn columns(&self) -> Vec<Column> {
        std::iter::once(POLICY_WON).chain(self.base.columns()).collect()
    }

    fn couples_rows(&self) -> bool {
        self.base.couples_rows()
    }

    fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        batch: Batch<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
        let (policy, reference, columns) = batch.into_pairs(Self::NAME)?;
        let won: Vec<bool> = columns.get(POLICY_WON.name).unwrap_or_default().iter().map(|&w| w != 0.0).collect();
        let optimism = optimism(policy.fork(), &won, self.alpha)?;
        let base = Batch::<P, C, E, D, T>::pairs(policy, reference).with_columns(self.base.keep(&columns)?);
        Ok(self.base.loss(base)?.with(optimism)?)
    }
}

/// The XPO loss of `P` prompts, each with a sample of the policy and a sample `ỹ` of the reference, labelled as a pair.
///
/// ```text
/// first part     base of the pair
/// second part    losses = α lp(ỹ)     weights = 1     ∂losses/∂lp(ỹ) = +α
/// ```
///
/// The bonus is added to a loss that is minimised, so samples of the reference become less likely; it is neither divided nor
/// multiplied by `β`. `policy_won` says for each pair whether the chosen completion is the policy's sample. Without `α` it is
/// online DPO. `lp(ỹ)` has no lower bound: watch `logps` when `α` is large.
///
/// Source: Xie et al. 2024, arXiv 2405.21046; TRL's XPO trainer (loss types `sigmoid` and `ipo` are `base`), which averages over the
/// batch where the paper sums over all pairs so far.
///
/// # Errors
/// [`ObjectiveError::Config`], [`ObjectiveError::Option`], [`ObjectiveError::Core`] when `policy_won` has another number of rows, and
/// those of `base`.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{Xpo, xpo};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-12.0_f64]), dev.tensor([-15.0]), &[4], &[5])?;
/// let reference = PairLogps::new(dev.tensor([-12.5_f64]), dev.tensor([-14.2]), &[4], &[5])?;
/// let loss = xpo(policy, reference, &[true], &Xpo::default().with_alpha(0.01))?.mean()?;
/// assert!((loss.array() - 0.4802581947).abs() < 1e-9);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn xpo<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: impl Into<Option<PairLogps<P, E, D>>>,
    policy_won: &[bool],
    config: &Xpo,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let optimism = optimism(policy.fork(), policy_won, config.alpha)?;
    let base = Batch::<P, usize, E, D, T>::pairs(policy, reference.into());
    Ok(config.base.loss(base)?.with(optimism)?)
}

/// `α lp` of the reference's samples.
fn optimism<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    policy_won: &[bool],
    alpha: f64,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    CoreError::check_size(POLICY_WON.name, policy.rows(), policy_won.len())?;
    let [chosen, rejected] = PairFigures::of(&policy).logps;
    let slopes = |of_chosen: bool| policy_won.iter().map(|&won| if won == of_chosen { 0.0 } else { alpha }).collect();
    let sampled = chosen.iter().zip(&rejected).zip(policy_won);
    let logps: Vec<f64> = sampled.map(|((&w, &l), &won)| if won { l } else { w }).collect();
    let values: Vec<f64> = logps.iter().map(|lp| alpha * lp).collect();
    let losses = attach(&values, [(policy.chosen, slopes(true)), (policy.rejected, slopes(false))])?;
    let mut diagnostics = Diagnostics::default();
    diagnostics.push("logps/reference_samples", logps)?;
    Ok(LossTerms::new(losses, vec![1.0; values.len()], diagnostics)?)
}
