//! Reward models on pairs: Bradley–Terry with margin and centring.

use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use tropism_core::numerics::{attach, to_f64};
use tropism_core::{CoreError, LossTerms, PairScores};

use crate::diagnostics::rewards;
use crate::link::logistic;
use crate::options::{any, not_negative, options};
use crate::{Batch, Column, Domain, InputKind, Method, ObjectiveError};

/// Where the margin between the two rewards comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RewardMargin {
    /// There is none.
    #[default]
    None,
    /// The column `margin` of each pair.
    Column,
}

options! {
    /// Options of [`bradley_terry()`].
    BradleyTerry = "bradley_terry", "TRL's reward trainer" {
        /// A margin per pair (`"column"`) or none (`"none"`, the default).
        margin: RewardMargin = RewardMargin::None, with_margin, any;
        /// Weight `c ≥ 0` of the squared sum of the two rewards; 0 by default. TRL calls it `center_rewards_coefficient`.
        centring: f64 = 0.0, with_centring, not_negative;
    }
}

const MARGIN: Column = Column::row("margin", Domain::Any);

impl Method for BradleyTerry {
    const INPUT: InputKind = InputKind::Scores;

    fn needs_reference(&self) -> bool {
        false
    }

    fn columns(&self) -> Vec<Column> {
        match self.margin {
            RewardMargin::None => Vec::new(),
            RewardMargin::Column => vec![MARGIN],
        }
    }

    fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        batch: Batch<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
        let (scores, columns) = batch.into_scores(Self::NAME)?;
        bradley_terry(scores, columns.get(MARGIN.name), self)
    }
}

/// The Bradley–Terry loss of `P` pairs of rewards.
///
/// With rewards `r` of a model and margins `m` (0 if there are none):
///
/// ```text
/// losses = −log σ(r_w − r_l − m) + c (r_w + r_l)²     weights = 1
/// ∂losses/∂r_w = −σ(m − r_w + r_l) + 2c (r_w + r_l)      ∂losses/∂r_l = +σ(m − r_w + r_l) + 2c (r_w + r_l)
/// ```
///
/// The first part knows differences alone; the second keeps the rewards around 0. `rewards/margins` and
/// `rewards/accuracies` are before the margin.
///
/// Source: Ouyang et al. 2022, arXiv 2203.02155; margin: Touvron et al. 2023, arXiv 2307.09288; centring: Eisenstein et al. 2023,
/// arXiv 2312.09244; TRL's reward trainer.
///
/// # Errors
/// [`ObjectiveError::Config`]; [`ObjectiveError::MissingColumn`] or [`ObjectiveError::UnusedColumn`] when margins and `margin`
/// do not go together; [`ObjectiveError::Core`] for a loss that is not finite.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairScores;
/// use tropism_objectives::{BradleyTerry, bradley_terry};
///
/// let dev = Cpu::default();
/// let scores = PairScores::new(dev.tensor([1.5_f64]), dev.tensor([0.5]))?;
/// let terms = bradley_terry(scores, None, &BradleyTerry::default().with_centring(0.01))?;
/// assert!((terms.values()[0] - (0.31326169 + 0.04)).abs() < 1e-8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn bradley_terry<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    scores: PairScores<P, E, D, T>,
    margin: Option<&[f64]>,
    config: &BradleyTerry,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let (method, column, rows) = (BradleyTerry::NAME, MARGIN.name, scores.rows());
    let margin = match (config.margin, margin) {
        (RewardMargin::None, None) => vec![0.0; rows],
        (RewardMargin::None, Some(_)) => return Err(ObjectiveError::UnusedColumn { method, column }),
        (RewardMargin::Column, None) => return Err(ObjectiveError::MissingColumn { method, column }),
        (RewardMargin::Column, Some(margin)) => margin.to_vec(),
    };
    CoreError::check_size(column, rows, margin.len())?;
    let (chosen, rejected) = (to_f64(&scores.chosen), to_f64(&scores.rejected));
    let (mut values, mut up, mut down) = (Vec::new(), Vec::new(), Vec::new());
    for ((w, l), m) in chosen.iter().zip(&rejected).zip(&margin) {
        let (value, slope) = logistic(w - l - m);
        let pull = 2.0 * config.centring * (w + l);
        values.push(value + config.centring * (w + l) * (w + l));
        up.push(slope + pull);
        down.push(-slope + pull);
    }
    let losses = attach(&values, [(scores.chosen, up), (scores.rejected, down)])?;
    Ok(LossTerms::new(losses, vec![1.0; rows], rewards(chosen, rejected)?)?)
}
