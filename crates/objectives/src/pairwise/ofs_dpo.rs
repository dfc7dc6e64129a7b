//! OFS-DPO: two copies of a policy that learn at different speeds and chase each other.

use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use tropism_core::{CoreError, LossTerms, PairLogps};

use super::{Scored, Scoring};
use crate::link::logistic;
use crate::options::{any, not_negative, options, positive};
use crate::{Batch, Column, Domain, InputKind, Method, ObjectiveError};

/// The part that a module plays; learning rates stay with the module when parts change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Runs away from the other module.
    #[default]
    Fast,
    /// Chases the other module.
    Slow,
}

options! {
    /// Options of [`ofs_dpo()`].
    OfsDpo = "ofs_dpo", "Online DPO: Online Direct Preference Optimization with Fast-Slow Chasing, arXiv 2406.05534" {
        /// Weight of the implicit KL penalty, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
        /// Weight `α ≥ 0` of the chase; 0.3 by default.
        alpha: f64 = 0.3, with_alpha, not_negative;
        /// The part of the module that the loss is for, `"fast"` (the default) or `"slow"`.
        role: Role = Role::Fast, with_role, any;
    }
}

/// Log-probabilities of the other module, summed over tokens.
const CHOSEN: Column = Column::row("other_logps/chosen", Domain::Any);
const REJECTED: Column = Column::row("other_logps/rejected", Domain::Any);

impl Method for OfsDpo {
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
        let others = [CHOSEN, REJECTED].map(|c| columns.get(c.name).unwrap_or_default());
        ofs_dpo(policy, reference, others, self)
    }
}

/// The OFS-DPO loss of `P` pairs for one of two modules, with the other one's log-probabilities held constant.
///
/// With the module's own margin `m` over the reference and the other one's, `m'` (sums over tokens, in nats):
///
/// ```text
/// fast   losses = −log σ(β m) − α log σ(β (m − m'))     ∂losses/∂m = −β σ(−β m) − α β σ(−β (m − m'))
/// slow   losses = −log σ(β m) + α log σ(β (m' − m))     ∂losses/∂m = −β σ(−β m) − α β σ(−β (m' − m))
/// weights = 1     ∂m/∂lp_w = 1 = −∂m/∂lp_l     no gradient in m'
/// ```
///
/// Both signs push the module's own margin up: the fast one runs away, the slow one chases. Where the margins are equal the
/// extra force is `αβ/2`, however saturated DPO is. There is no finite minimum, and the slow loss has no lower bound: limit the
/// steps and watch the distance from the reference. The reference cancels in `m − m'`. `α = 0` is [`dpo()`](crate::dpo()).
///
/// Give each module this loss with the other's log-probabilities in the columns `other_logps/chosen` and
/// `other_logps/rejected`, an optimiser and a gradient clip of its own; [`ChasingRoles`] says which part each plays.
///
/// Reports DPO's figures, and `margins/chase`, `m − m'`.
///
/// Source: Online DPO: Online Direct Preference Optimization with Fast-Slow Chasing, arXiv 2406.05534. That each loss moves its own
/// module alone is from a re-implementation that quotes the paper: without it the two chases cancel. Its clamp of `β m` at ±10 is
/// not taken over.
///
/// # Errors
/// [`ObjectiveError::Config`]; [`ObjectiveError::Column`]; [`ObjectiveError::MissingReference`],
/// [`ObjectiveError::UnevenLengths`]; [`ObjectiveError::Core`] for sizes that differ.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{OfsDpo, Role, ofs_dpo};
///
/// let dev = Cpu::default();
/// let pair = |w: f64, l: f64| PairLogps::new(dev.tensor([w]), dev.tensor([l]), &[9], &[9]);
/// // Margins of 6 and 2 nats over a reference that is indifferent.
/// let fast = ofs_dpo(pair(-27.0, -33.0)?, pair(-30.0, -30.0)?, [&[-29.0], &[-31.0]], &OfsDpo::default())?;
/// assert!((fast.values()[0] - 0.5913925262).abs() < 1e-10);
/// let slow = OfsDpo::default().with_role(Role::Slow);
/// let slow = ofs_dpo(pair(-29.0, -31.0)?, pair(-30.0, -30.0)?, [&[-27.0], &[-33.0]], &slow)?;
/// assert!((slow.values()[0] - 0.4442342937).abs() < 1e-10);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn ofs_dpo<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: impl Into<Option<PairLogps<P, E, D>>>,
    other_logps: [&[f64]; 2],
    config: &OfsDpo,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    for (column, values) in [CHOSEN, REJECTED].iter().zip(other_logps) {
        CoreError::check_size(column.name, policy.rows(), values.len())?;
        column.check(OfsDpo::NAME, values)?;
    }
    let mut scored = Scored::new(OfsDpo::NAME, policy, reference.into(), &Scoring::RATIOS, config.beta)?;
    let own = ["logps/chosen", "logps/rejected"].map(|name| scored.diagnostics.get(name).unwrap_or_default());
    let gap = |side: [&[f64]; 2], row: usize| side[0][row] - side[1][row];
    let chase: Vec<f64> = (0..own[0].len()).map(|row| gap(own, row) - gap(other_logps, row)).collect();
    scored.diagnostics.push("margins/chase", chase.clone())?;
    let (alpha, beta) = (config.alpha, config.beta);
    scored.by_pair(|row, a, c| {
        let (value, slope) = logistic(beta * (a - c));
        let (value, slope) = match config.role {
            Role::Fast => {
                let away = logistic(beta * chase[row]);
                (value + alpha * away.0, slope + alpha * away.1)
            }
            Role::Slow => {
                let behind = logistic(-beta * chase[row]);
                (value - alpha * behind.0, slope + alpha * behind.1)
            }
        };
        [value, beta * slope, -beta * slope]
    })
}

/// Which of two modules plays which part: every `interval` steps the one with the lower DPO loss since the last look becomes
/// the fast one.
///
/// ```
/// use tropism_objectives::{ChasingRoles, Role};
///
/// let mut roles = ChasingRoles::new(2)?;
/// assert_eq!([roles.role(0), roles.role(1)], [Role::Fast, Role::Slow]);
/// assert!(!roles.record([0.6, 0.3])?);
/// assert!(roles.record([0.4, 0.5])?);
/// assert_eq!([roles.role(0), roles.role(1)], [Role::Slow, Role::Fast]);
/// # Ok::<(), tropism_objectives::ObjectiveError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChasingRoles {
    interval: usize,
    seen: usize,
    sums: [f64; 2],
    fast: usize,
}

impl ChasingRoles {
    /// Module 0 starts as the fast one; it should be the one with the higher learning rate.
    ///
    /// # Errors
    /// [`ObjectiveError::Option`] for an interval of 0.
    pub fn new(interval: usize) -> Result<Self, ObjectiveError> {
        if interval == 0 {
            let problem = "is 0; take at least one step between two looks".to_owned();
            return Err(ObjectiveError::Option { method: OfsDpo::NAME, key: "interval", problem });
        }
        Ok(Self { interval, seen: 0, sums: [0.0; 2], fast: 0 })
    }

    /// The part of module 0, or of module 1 for any other number.
    pub fn role(&self, module: usize) -> Role {
        if module.min(1) == self.fast { Role::Fast } else { Role::Slow }
    }

    /// Takes in the plain DPO losses of both modules in a step; whether the parts have changed.
    ///
    /// # Errors
    /// [`ObjectiveError::Core`] for a loss that is not finite.
    pub fn record(&mut self, losses: [f64; 2]) -> Result<bool, ObjectiveError> {
        CoreError::check_finite("loss", &losses)?;
        self.sums = [self.sums[0] + losses[0], self.sums[1] + losses[1]];
        self.seen += 1;
        if self.seen < self.interval {
            return Ok(false);
        }
        let swap = self.sums[1 - self.fast] < self.sums[self.fast];
        let fast = if swap { 1 - self.fast } else { self.fast };
        *self = Self { interval: self.interval, seen: 0, sums: [0.0; 2], fast };
        Ok(swap)
    }
}
