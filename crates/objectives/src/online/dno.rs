//! Direct Nash optimisation: regression of margins on expected win rates against the policy of the last iteration.

use dfdx::prelude::*;
use tropism_core::numerics::sigmoid_scalar;
use tropism_core::{CoreError, LossTerms, PairLogps};

use crate::link::smoothed;
use crate::options::{options, positive};
use crate::pairwise::{Scored, Scoring};
use crate::{Batch, Column, Domain, InputKind, Method, ObjectiveError};

options! {
    /// Options of [`dno()`].
    Dno = "dno", "Direct Nash Optimization: Teaching Language Models to Self-Improve with General Preferences, arXiv 2404.03715" {
        /// Weight of the KL penalty, `η > 0`, on the scale of the win rates; 0.1 by default.
        eta: f64 = 0.1, with_eta, positive;
    }
}

const CHOSEN: Column = Column::row("win_rate/chosen", Domain::Any);
const REJECTED: Column = Column::row("win_rate/rejected", Domain::Any);

impl Method for Dno {
    const INPUT: InputKind = InputKind::Pairs;

    fn needs_reference(&self) -> bool {
        true
    }

    fn columns(&self) -> Vec<Column> {
        vec![CHOSEN, REJECTED]
    }

    fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        batch: Batch<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
        let (policy, reference, columns) = batch.into_pairs(Self::NAME)?;
        let reference = crate::batch::need(Self::NAME, reference)?;
        let rates = [CHOSEN, REJECTED].map(|c| columns.get(c.name).unwrap_or_default());
        dno(policy, reference, rates, self)
    }
}

/// The DNO loss of `P` pairs with expected win rates `r` against the policy that wrote them.
///
/// With summed log-ratios `a`, `c` of both sides to the last iteration's policy, in nats:
///
/// ```text
/// z = η (a − c)     t = σ(r_w − r_l)     no gradient in t
/// losses = −t log σ(z) − (1 − t) log σ(−z)     weights = 1
/// ∂losses/∂lp_w = η (σ(z) − t)     ∂losses/∂lp_l = −η (σ(z) − t)
/// ```
///
/// The reference is the policy at the start of the iteration, not the model that training began with. Which completion is
/// called chosen does not matter. Win rates are shares from 0 to 1; any finite scale is taken, because `η` and the rates only
/// count by their ratio at the minimum `π ∝ π_t e^{r/η}`. At `t = 1` the loss is DPO.
///
/// The paper trains large models with DNO-Prct: [`dpo()`](crate::dpo()) on pairs filtered by a wide margin, with `beta = η` and
/// the last iteration's policy as reference.
///
/// Reports TRL's figures, with rewards `η` times the log-ratio, and `targets`, the soft labels.
///
/// Source: Rosset et al. 2024, arXiv 2404.03715, equations 8 and 12; no code was released.
///
/// # Errors
/// [`ObjectiveError::Config`]; [`ObjectiveError::Column`]; [`ObjectiveError::UnevenLengths`]; [`ObjectiveError::Core`] for
/// sizes that differ.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{Dno, dno};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-9.2_f64]), dev.tensor([-10.4]), &[4], &[5])?;
/// let last = PairLogps::new(dev.tensor([-10.0_f64]), dev.tensor([-10.0]), &[4], &[5])?;
/// let terms = dno(policy, last, [&[0.7], &[0.2]], &Dno::default().with_eta(0.5))?;
/// assert!((terms.values()[0] - 0.6640123518).abs() < 1e-10);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn dno<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: PairLogps<P, E, D>,
    win_rates: [&[f64]; 2],
    config: &Dno,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    for (column, values) in [CHOSEN, REJECTED].iter().zip(win_rates) {
        CoreError::check_size(column.name, policy.rows(), values.len())?;
        column.check(Dno::NAME, values)?;
    }
    let gaps: Vec<f64> = win_rates[0].iter().zip(win_rates[1]).map(|(w, l)| w - l).collect();
    let mut scored = Scored::new(Dno::NAME, policy, Some(reference), &Scoring::RATIOS, config.eta)?;
    scored.diagnostics.push("targets", gaps.iter().map(|&g| sigmoid_scalar(g)).collect())?;
    scored.by_pair(|row, a, c| {
        let (value, slope) = smoothed(config.eta * (a - c), sigmoid_scalar(-gaps[row]));
        [value, config.eta * slope, -config.eta * slope]
    })
}
