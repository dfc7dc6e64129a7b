//! A*-PO: regression of log-ratios on advantages over an estimated optimal value.

use dfdx::prelude::*;
use tropism_core::numerics::{attach, to_f64};
use tropism_core::{CoreError, Diagnostics, LossTerms, SequenceLogps};

use crate::diagnostics::check_lengths;
use crate::link::squared;
use crate::options::{options, positive};
use crate::{Batch, Column, Domain, InputKind, Method, ObjectiveError};

options! {
    /// Options of [`a2po()`].
    A2po = "a2po", "TRL's A2PO trainer" {
        /// Weight of the KL penalty, `β > 0`; 1e-3 by default. TRL calls it `beta2`.
        beta: f64 = 1e-3, with_beta, positive;
    }
}

const REWARD: Column = Column::row("reward", Domain::Any);
/// Estimate of the optimal value of the prompt, made from samples of the reference.
const VALUE: Column = Column::row("optimal_value", Domain::Any);

impl Method for A2po {
    const INPUT: InputKind = InputKind::Completions;

    fn needs_reference(&self) -> bool {
        true
    }

    fn columns(&self) -> Vec<Column> {
        vec![REWARD, VALUE]
    }

    fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        batch: Batch<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
        let (policy, reference, columns) = batch.into_completions(Self::NAME)?;
        let reference = crate::batch::need(Self::NAME, reference)?;
        let column = |c: Column| columns.get(c.name).unwrap_or_default();
        a2po(policy, reference, column(REWARD), column(VALUE), self)
    }
}

/// The A*-PO loss of `P` samples of the policy.
///
/// With log-ratio `h = lp − rf`, reward `r` and an estimate `v` of the prompt's optimal value:
///
/// ```text
/// losses = (β h − (r − v))²     weights = 1
/// ∂losses/∂lp = 2 β (β h − (r − v))
/// ```
///
/// With the exact value `v = β log E_ref[e^{r/β}]` the minimum is the optimum of reward minus `β` KL.
///
/// Source: Brantley et al. 2025, arXiv 2505.20686; TRL's A2PO trainer.
///
/// # Errors
/// [`ObjectiveError::Config`]; [`ObjectiveError::UnevenLengths`]; [`ObjectiveError::Core`] for numbers of rows that differ.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::SequenceLogps;
/// use tropism_objectives::{A2po, a2po};
///
/// let dev = Cpu::default();
/// let policy = SequenceLogps::new(dev.tensor([-10.0_f64]), &[5])?;
/// let reference = SequenceLogps::new(dev.tensor([-12.0_f64]), &[5])?;
/// let terms = a2po(policy, reference, &[1.0], &[0.4], &A2po::default().with_beta(0.1))?;
/// assert!((terms.values()[0] - 0.16).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn a2po<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: SequenceLogps<P, E, D, T>,
    reference: SequenceLogps<P, E, D>,
    reward: &[f64],
    optimal_value: &[f64],
    config: &A2po,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let rows = policy.rows();
    CoreError::check_size("reference logps", rows, reference.rows())?;
    CoreError::check_size(REWARD.name, rows, reward.len())?;
    CoreError::check_size(VALUE.name, rows, optimal_value.len())?;
    check_lengths("the", &to_f64(&policy.lengths), &to_f64(&reference.lengths))?;
    let (logps, theirs) = (to_f64(&policy.logps), to_f64(&reference.logps));
    let ratios: Vec<f64> = logps.iter().zip(&theirs).map(|(p, r)| p - r).collect();
    let advantages: Vec<f64> = reward.iter().zip(optimal_value).map(|(r, v)| r - v).collect();
    let found = ratios.iter().zip(&advantages).map(|(h, a)| squared(config.beta * h, *a));
    let (values, slopes): (Vec<f64>, Vec<f64>) = found.map(|(v, s)| (v, config.beta * s)).unzip();
    let mut diagnostics = Diagnostics::default();
    let columns = [("kl", ratios), ("advantages", advantages), ("rewards", reward.to_vec()), ("logps", logps)];
    for (name, column) in columns {
        diagnostics.push(name, column)?;
    }
    Ok(LossTerms::new(attach(&values, [(policy.logps, slopes)])?, vec![1.0; rows], diagnostics)?)
}
