//! Self-improving robust preference optimisation: a policy and its reviser, trained together by squares.

use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use tropism_core::numerics::attach;
use tropism_core::{CoreError, Diagnostics, LossTerms, RevisionLogps};

use crate::diagnostics::PairFigures;
use crate::options::{any, options, positive, share};
use crate::{Batch, Column, Domain, InputKind, Method, ObjectiveError};

/// How certain the judgement of a pair is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Labels {
    /// The chosen completion is preferred for certain.
    #[default]
    Hard,
    /// It is preferred with the probability in the column `chosen_share`.
    Column,
}

options! {
    /// Options of [`srpo()`].
    Srpo = "srpo", "Self-Improving Robust Preference Optimization, arXiv 2406.01660" {
        /// Weight of the KL penalties, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
        /// Share `α` of the reviser's own loss, from 0 to 1; 0.5 by default. At 0 the minimum is not unique, at 1 the plain
        /// policy is not trained.
        alpha: f64 = 0.5, with_alpha, share;
        /// Certain judgements (`"hard"`, the default) or probabilities (`"column"`).
        labels: Labels = Labels::Hard, with_labels, any;
    }
}

/// Probability that the chosen completion is preferred.
const SHARE: Column = Column::row("chosen_share", Domain::Share);

impl Method for Srpo {
    const INPUT: InputKind = InputKind::Revisions;

    fn needs_reference(&self) -> bool {
        true
    }

    fn columns(&self) -> Vec<Column> {
        match self.labels {
            Labels::Hard => Vec::new(),
            Labels::Column => vec![SHARE],
        }
    }

    fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        batch: Batch<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
        let (policy, reference, columns) = batch.into_revisions(Self::NAME)?;
        srpo(policy, crate::batch::need(Self::NAME, reference)?, columns.get(SHARE.name), self)
    }
}

/// The SRPO loss of `P` pairs: one network writes answers from a prompt, and better answers from a prompt that shows one.
///
/// With summed log-ratios against the reference **in the same context**, in nats: `g_w`, `g_l` from the prompt, `t_wl` of the
/// chosen completion after the rejected one is shown and so on, and `q = p − ½` for the probability `p` that the chosen
/// completion is preferred (`q = ½` for hard labels):
///
/// ```text
/// R_g = q − (β/2) [(t_wl − t_lw) + (g_w − g_l)]     R_1 = q − β (t_wl − t_ll)     R_2 = q − β (t_ww − t_lw)
/// losses = (1−α) R_g² + (α/2) (R_1² + R_2²)         weights = 1
/// ∂/∂g_w = −(1−α) β R_g = −∂/∂g_l        ∂/∂t_wl = −(1−α) β R_g − α β R_1      ∂/∂t_ll = +α β R_1
/// ∂/∂t_ww = −α β R_2                     ∂/∂t_lw = +(1−α) β R_g + α β R_2
/// ```
///
/// Forces stop where the margins reach their targets. With `α` between 0 and 1 and full support the minimum does not depend
/// on how the pairs were sampled. If revisions ignore what is shown, it is [`ipo()`](crate::ipo()) on sums, times `β²`.
///
/// Reports DPO's figures of the plain answers; `margins/revisions`, the mean of `t_wl − t_ll` and `t_ww − t_lw`; and
/// `log_ratios/copies`, the larger size of `t_ww` and `t_ll`: references may be nearly certain to repeat what is shown, so watch
/// it.
///
/// Source: Self-Improving Robust Preference Optimization, arXiv 2406.01660. The paper has a convex combination of two such losses;
/// the scale of the two parts, and that `α` is the share of the reviser's, are ours, derived from its min-max game.
///
/// # Errors
/// [`ObjectiveError::Config`]; [`ObjectiveError::MissingColumn`] or [`ObjectiveError::UnusedColumn`] when `shares` and `labels`
/// do not go together, [`ObjectiveError::Column`]; [`ObjectiveError::UnevenLengths`]; [`ObjectiveError::Core`].
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::{PairLogps, RevisionLogps};
/// use tropism_objectives::{Srpo, srpo};
///
/// let dev = Cpu::default();
/// let pair = |w: f64, l: f64| PairLogps::new(dev.tensor([w - 5.0]), dev.tensor([l - 5.0]), &[4], &[4]);
/// let policy = RevisionLogps::new(pair(0.3, -0.2)?, pair(0.6, 0.1)?, pair(0.4, -0.1)?)?;
/// let reference = RevisionLogps::new(pair(0.0, 0.0)?, pair(0.0, 0.0)?, pair(0.0, 0.0)?)?;
/// let terms = srpo(policy, reference, None, &Srpo::default().with_beta(0.5))?;
/// assert!((terms.values()[0] - 0.05125).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn srpo<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: RevisionLogps<P, E, D, T>,
    reference: RevisionLogps<P, E, D>,
    shares: Option<&[f64]>,
    config: &Srpo,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let targets = targets(policy.rows(), shares, config)?;
    let (ratios, mut diagnostics) = ratios(&policy, &reference, config.beta)?;
    let (mut values, mut slopes) = (Vec::new(), [const { Vec::new() }; 6]);
    let (mut margins, mut copies) = (Vec::new(), Vec::new());
    for (row, &target) in targets.iter().enumerate() {
        let each = ratios.each_ref().map(|side| side[row]);
        let (value, slope) = config.pair(target, each);
        values.push(value);
        slopes.iter_mut().zip(slope).for_each(|(all, s)| all.push(s));
        let [_, _, t_wl, t_ll, t_ww, t_lw] = each;
        margins.push(0.5 * (t_wl - t_ll + t_ww - t_lw));
        copies.push(t_ww.abs().max(t_ll.abs()));
    }
    diagnostics.push("margins/revisions", margins)?;
    diagnostics.push("log_ratios/copies", copies)?;
    CoreError::check_finite("loss", &values)?;
    let ([a, b, c, d, e, f], RevisionLogps { plain, after_rejected, after_chosen, .. }) = (slopes, policy);
    let inputs = [
        (plain.chosen, a),
        (plain.rejected, b),
        (after_rejected.chosen, c),
        (after_rejected.rejected, d),
        (after_chosen.chosen, e),
        (after_chosen.rejected, f),
    ];
    Ok(LossTerms::new(attach(&values, inputs)?, vec![1.0; values.len()], diagnostics)?)
}

/// Log-ratios in the order `g_w`, `g_l`, `t_wl`, `t_ll`, `t_ww`, `t_lw`, and DPO's figures of the plain answers.
fn ratios<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: &RevisionLogps<P, E, D, T>,
    reference: &RevisionLogps<P, E, D>,
    beta: f64,
) -> Result<([Vec<f64>; 6], Diagnostics), ObjectiveError> {
    let mut plain = PairFigures::of(&policy.plain);
    let [g_w, g_l] = plain.log_ratios(&reference.plain)?;
    let [t_wl, t_ll] = PairFigures::of(&policy.after_rejected).log_ratios(&reference.after_rejected)?;
    let [t_ww, t_lw] = PairFigures::of(&policy.after_chosen).log_ratios(&reference.after_chosen)?;
    let rewards = [&g_w, &g_l].map(|side| side.iter().map(|h| beta * h).collect());
    let diagnostics = plain.diagnostics(Some(rewards), Some(&g_w), false)?;
    Ok(([g_w, g_l, t_wl, t_ll, t_ww, t_lw], diagnostics))
}

impl Srpo {
    /// Loss of one pair, and its slopes in `g_w`, `g_l`, `t_wl`, `t_ll`, `t_ww`, `t_lw`.
    fn pair(&self, q: f64, [g_w, g_l, t_wl, t_ll, t_ww, t_lw]: [f64; 6]) -> (f64, [f64; 6]) {
        let (alpha, beta) = (self.alpha, self.beta);
        let joint = q - 0.5 * beta * (t_wl - t_lw + g_w - g_l);
        let (first, second) = (q - beta * (t_wl - t_ll), q - beta * (t_ww - t_lw));
        let value = (1.0 - alpha) * joint * joint + 0.5 * alpha * (first * first + second * second);
        let (g, one, two) = ((1.0 - alpha) * beta * joint, alpha * beta * first, alpha * beta * second);
        (value, [-g, g, -g - one, one, -two, g + two])
    }
}

/// `p − ½` of each pair.
fn targets(rows: usize, shares: Option<&[f64]>, config: &Srpo) -> Result<Vec<f64>, ObjectiveError> {
    let (method, column) = (Srpo::NAME, SHARE.name);
    match (config.labels, shares) {
        (Labels::Hard, None) => Ok(vec![0.5; rows]),
        (Labels::Hard, Some(_)) => Err(ObjectiveError::UnusedColumn { method, column }),
        (Labels::Column, None) => Err(ObjectiveError::MissingColumn { method, column }),
        (Labels::Column, Some(shares)) => {
            CoreError::check_size(column, rows, shares.len())?;
            SHARE.check(method, shares)?;
            Ok(shares.iter().map(|p| p - 0.5).collect())
        }
    }
}
