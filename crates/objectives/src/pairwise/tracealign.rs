//! TraceAlign's surrogate: DPO that lowers tokens of spans which repeat conflicting training text.

use std::ops::Range;

use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use tropism_core::numerics::log1mexp_scalar;
use tropism_core::{Columns, CoreError, Diagnostics, LossTerms, PairTokens, TokenLogps};

use crate::options::{any, not_negative, options, pair_method, positive};
use crate::{Batch, Column, Domain, Dpo, InputKind, Method, Objective, ObjectiveError, Per};

/// Which completions of a pair are unlearned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TracedSides {
    /// Both.
    #[default]
    Both,
    /// The chosen one alone.
    Chosen,
}

options! {
    /// Options of [`tracealign()`].
    Tracealign = "tracealign", "Tracing the Drift: Attributing Alignment Failures to Training-Time Belief Sources in LLMs, arXiv 2508.02063" {
        /// Weight `λ ≥ 0` of the spans; 0.01 by default.
        lambda: f64 = 0.01, with_lambda, not_negative;
        /// The completions whose spans count, `"both"` (the default) or `"chosen"`.
        sides: TracedSides = TracedSides::Both, with_sides, any;
        /// The loss of the pairs, a method on pairs; DPO by default.
        base: Box<Objective> = Box::new(Dpo::default().into()), with_base, |m, k, b: &Objective| pair_method(m, k, b);
    }
}

/// Conflict of each token, [`conflict_weights()`].
const CHOSEN: Column = Column { name: "conflict/chosen", per: Per::ChosenToken, domain: Domain::NotNegative };
const REJECTED: Column = Column { name: "conflict/rejected", per: Per::RejectedToken, domain: Domain::NotNegative };

/// Log of the probability `1 − 10⁻⁶` from which on the penalty goes on along its tangent.
const NEARLY_CERTAIN: f64 = -1.000_000_500_000_333_4e-6;

impl Method for Tracealign {
    const INPUT: InputKind = InputKind::PairTokens;

    fn needs_reference(&self) -> bool {
        self.base.needs_reference()
    }

    fn columns(&self) -> Vec<Column> {
        let rejected = (self.sides == TracedSides::Both).then_some(REJECTED);
        std::iter::once(CHOSEN).chain(rejected).chain(self.base.columns()).collect()
    }

    fn couples_rows(&self) -> bool {
        self.base.couples_rows()
    }

    fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        batch: Batch<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
        let (policy, reference, columns) = batch.into_pair_tokens(Self::NAME)?;
        let conflicts = (columns.get(CHOSEN.name).unwrap_or_default(), columns.get(REJECTED.name));
        deconflicted(policy, reference, conflicts, self.base.keep(&columns)?, self)
    }
}

/// A loss of pairs, and unlikelihood of the tokens in conflicting spans.
///
/// With the spans `S` of a completion that repeat training text, `c_s = min(c_max, max(0, BCI(s) − τ)/τ)` for the span's belief
/// conflict, and `w_t = Σ_{s ∋ t} c_s / |s|` for each token ([`conflict_weights()`], columns `conflict/chosen` and
/// `conflict/rejected`, `[P, L]` row by row):
///
/// ```text
/// first part     losses = base
/// second part    losses = −λ Σ_t w_t log(1 − π_t)     weights = 1     ∂second/∂lp_t = λ w_t π_t / (1 − π_t)
/// ```
///
/// Minimisation lowers the tokens of such spans, also in chosen completions; other tokens are untouched. Without conflicts, or
/// at `λ = 0`, it is `base`. Reports `unlikelihood`, the second part before `λ`.
///
/// Beyond `π = 1 − 10⁻⁶` the penalty goes on along its tangent. A clamp there, as in the usual code, would leave text that is
/// known by heart without any force.
///
/// Source: Tracing the Drift: Attributing Alignment Failures to Training-Time Belief Sources in LLMs, arXiv 2508.02063. Its own
/// penalty `λ Σ max(0, BCI(s) − τ)` depends on the text alone and has no gradient, so it is not offered; the unlikelihood is a
/// surrogate of ours.
///
/// # Errors
/// [`ObjectiveError::Column`] for a negative weight, [`ObjectiveError::MissingColumn`] or [`ObjectiveError::UnusedColumn`] when
/// the second list and `sides` do not go together, [`ObjectiveError::Core`] unless there is one weight per cell,
/// [`ObjectiveError::Config`], [`ObjectiveError::Option`], and those of `base`.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::{PairTokens, TokenLogps};
/// use tropism_objectives::{TracedSides, Tracealign, conflict_weights, tracealign};
///
/// let dev = Cpu::default();
/// let side = |v: [f64; 3]| TokenLogps::new(dev.tensor([v.map(f64::ln)]), &[true; 3]);
/// let policy = PairTokens::new(side([0.2, 0.5, 0.4])?, side([0.5; 3])?)?;
/// let conflict = conflict_weights(3, &[(0..3, 24.6352888424)], 20.0, 1.0)?;
/// let config = Tracealign::default().with_sides(TracedSides::Chosen);
/// let terms = tracealign(policy.clone(), policy, (&conflict, None), &config)?;
/// assert!((terms.mean()?.array() - 2.0_f64.ln() - 0.0011025161).abs() < 1e-10);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn tracealign<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairTokens<P, C, E, D, T>,
    reference: impl Into<Option<PairTokens<P, C, E, D>>>,
    conflicts: (&[f64], Option<&[f64]>),
    config: &Tracealign,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let method = Tracealign::NAME;
    match (config.sides, conflicts.1) {
        (TracedSides::Both, None) => return Err(ObjectiveError::MissingColumn { method, column: REJECTED.name }),
        (TracedSides::Chosen, Some(_)) => return Err(ObjectiveError::UnusedColumn { method, column: REJECTED.name }),
        _ => {}
    }
    CHOSEN.check(method, conflicts.0)?;
    REJECTED.check(method, conflicts.1.unwrap_or_default())?;
    deconflicted(policy, reference.into(), conflicts, Columns::default(), config)
}

fn deconflicted<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairTokens<P, C, E, D, T>,
    reference: Option<PairTokens<P, C, E, D>>,
    (chosen, rejected): (&[f64], Option<&[f64]>),
    columns: Columns,
    config: &Tracealign,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    let mut spans = vec![unlikelihood(policy.chosen.fork(), chosen, config.lambda)?];
    if let Some(rejected) = rejected {
        spans.push(unlikelihood(policy.rejected.fork(), rejected, config.lambda)?);
    }
    let rows = policy.rows();
    let totals: Vec<f64> = (0..rows).map(|row| spans.iter().map(|s| s.1[row]).sum()).collect();
    let reference = reference.map(PairTokens::sum).transpose()?;
    let mut terms = config.base.loss(Batch::<P, C, E, D, T>::pairs(policy.sum()?, reference).with_columns(columns))?;
    terms.diagnostics.push("unlikelihood", totals)?;
    for (losses, _) in spans {
        terms = terms.with(LossTerms::new(losses, vec![1.0; rows], Diagnostics::default())?)?;
    }
    Ok(terms)
}

/// `λ` times the unlikelihood of each row with its tape, and the unlikelihood alone.
fn unlikelihood<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    side: TokenLogps<P, C, E, D, T>,
    conflict: &[f64],
    lambda: f64,
) -> Result<(Tensor<(P,), E, D, T>, Vec<f64>), ObjectiveError> {
    CoreError::check_size("conflict", side.mask().len(), conflict.len())?;
    let cells = side.values().into_iter().zip(conflict).zip(side.mask());
    let found: Vec<(f64, f64)> = cells.map(|((lp, w), &m)| if m { penalty(lp, *w) } else { (0.0, 0.0) }).collect();
    let sums: Vec<f64> = found.chunks(side.size().1).map(|row| row.iter().map(|f| f.0).sum()).collect();
    let values: Vec<f64> = sums.iter().map(|v| lambda * v).collect();
    let slopes: Vec<f64> = found.iter().map(|f| lambda * f.1).collect();
    Ok((side.attach(&values, &slopes)?, sums))
}

/// `−w log(1 − e^lp)` and its slope, along the tangent where the token is nearly certain.
fn penalty(lp: f64, weight: f64) -> (f64, f64) {
    let at = lp.min(NEARLY_CERTAIN);
    let slope = -weight * at.exp() / at.exp_m1();
    (-weight * log1mexp_scalar(at) + slope * (lp - at), slope)
}

/// Weights `w_t` of a row's `cells` from its spans, each with the cells that it covers and its belief conflict in nats.
///
/// With threshold `τ` and cap `c_max` a span gives `min(c_max, max(0, BCI − τ)/τ) / |s|` to each of its cells; the conflict of a span
/// is `−Σ log P_train` of its tokens.
///
/// # Errors
/// [`ObjectiveError::Config`] for a threshold or cap that is not positive; [`ObjectiveError::Option`] for a span that is empty or
/// ends beyond the row, or whose conflict is not finite.
///
/// ```
/// use tropism_objectives::conflict_weights;
///
/// let spans = [(0..2, 30.0), (1..3, 22.0), (3..4, 19.0)];
/// assert_eq!(conflict_weights(4, &spans, 20.0, 1.0)?, [0.25, 0.25 + 0.05, 0.05, 0.0]);
/// # Ok::<(), tropism_objectives::ObjectiveError>(())
/// ```
pub fn conflict_weights(
    cells: usize,
    spans: &[(Range<usize>, f64)],
    threshold: f64,
    cap: f64,
) -> Result<Vec<f64>, ObjectiveError> {
    positive(Tracealign::NAME, "threshold", &threshold)?;
    positive(Tracealign::NAME, "cap", &cap)?;
    let mut weights = vec![0.0; cells];
    for (span, conflict) in spans {
        let place = weights.get_mut(span.clone()).filter(|cells| !cells.is_empty() && conflict.is_finite());
        let place = place.ok_or_else(|| {
            let problem = format!("hold {span:?} with a conflict of {conflict}; a row has the cells 0..{cells}");
            ObjectiveError::Option { method: Tracealign::NAME, key: "spans", problem }
        })?;
        let each = (((conflict - threshold) / threshold).max(0.0)).min(cap) / place.len() as f64;
        place.iter_mut().for_each(|w| *w += each);
    }
    Ok(weights)
}
