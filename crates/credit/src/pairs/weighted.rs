//! A margin of weighted token log-ratios: what the losses on pairs by token share.

use dfdx::prelude::*;
use tropism_core::numerics::{log_sigmoid_scalar, sigmoid_scalar};
use tropism_core::{CoreError, Diagnostics, LossTerms, PairTokens, TokenLogps};

use crate::CreditError;
use crate::figures::{PairSums, counted, log_ratios, row_sums};

/// Log-ratios of pairs to the reference, by token.
pub(crate) struct Ratios {
    /// `[P, C]` row by row, 0 in cells that do not count; chosen first.
    pub(crate) cells: [Vec<f64>; 2],
    columns: [usize; 2],
}

impl Ratios {
    /// `policy − reference`.
    pub(crate) fn new<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        policy: &PairTokens<P, C, E, D, T>,
        reference: &PairTokens<P, C, E, D>,
    ) -> Result<Self, CreditError> {
        let chosen = log_ratios("chosen reference logps", &policy.chosen, &reference.chosen)?;
        let rejected = log_ratios("rejected reference logps", &policy.rejected, &reference.rejected)?;
        Ok(Self { cells: [chosen, rejected], columns: [policy.chosen.size().1, policy.rejected.size().1] })
    }

    /// `Σ_t w_t Δ_t` of each row of a side.
    fn sums(&self, side: usize, weights: &[f64]) -> Vec<f64> {
        let each: Vec<f64> = self.cells[side].iter().zip(weights).map(|(h, w)| h * w).collect();
        row_sums(&each, self.columns[side])
    }
}

/// Scales of [`weighted_pairs`].
pub(crate) struct Scales {
    /// Inverse temperature of the margin.
    pub(crate) beta: f64,
    /// Weight of the mean negative log-likelihood of the chosen tokens.
    pub(crate) sft_weight: f64,
}

/// `softplus(−d)` with `d = β (Σ w_t Δ_t − Σ l_t Δ_t)` plus `sft_weight` times the chosen tokens' mean negative
/// log-likelihood; `weights` `[P, C]` of both sides are constants.
pub(crate) fn weighted_pairs<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairTokens<P, C, E, D, T>,
    ratios: &Ratios,
    weights: [Vec<f64>; 2],
    scales: &Scales,
) -> Result<LossTerms<P, E, D, T>, CreditError> {
    let Scales { beta, sft_weight } = *scales;
    let mut diagnostics = sums(&policy, ratios).diagnostics(beta)?;
    let weights = [
        kept_weights(&policy.chosen, &weights[0], NAMES[0], &mut diagnostics)?,
        kept_weights(&policy.rejected, &weights[1], NAMES[1], &mut diagnostics)?,
    ];
    let (heard, unheard) = (ratios.sums(0, &weights[0]), ratios.sums(1, &weights[1]));
    let margins: Vec<f64> = heard.iter().zip(&unheard).map(|(w, l)| beta * (w - l)).collect();
    let [mut down, mut up] = weights;
    let pull = |row: usize| beta * sigmoid_scalar(-margins[row]);
    down.iter_mut().enumerate().for_each(|(i, w)| *w *= -pull(i / ratios.columns[0]));
    up.iter_mut().enumerate().for_each(|(i, l)| *l *= pull(i / ratios.columns[1]));
    let mut losses: Vec<f64> = margins.iter().map(|&d| -log_sigmoid_scalar(d)).collect();
    if sft_weight > 0.0 {
        diagnostics.push("nll/chosen", add_nll(&policy.chosen, sft_weight, &mut losses, &mut down))?;
    }
    diagnostics.push("margins/weighted", margins)?;
    CoreError::check_finite("loss", &losses)?;
    terms(policy, &losses, [down, up], diagnostics)
}

/// What a side's weights are called in errors, and their mean and the number of negative ones in diagnostics.
type Names = [&'static str; 3];

const NAMES: [Names; 2] = [
    ["chosen token weights", "token_weights/chosen", "token_weights/chosen_negative"],
    ["rejected token weights", "token_weights/rejected", "token_weights/rejected_negative"],
];

/// The weights of counted cells, 0 elsewhere, after reporting them.
fn kept_weights<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    side: &TokenLogps<P, C, E, D, T>,
    weights: &[f64],
    [what, mean, negative]: Names,
    diagnostics: &mut Diagnostics,
) -> Result<Vec<f64>, CreditError> {
    CoreError::check_size(what, side.mask().len(), weights.len())?;
    let kept: Vec<f64> = weights.iter().zip(side.mask()).map(|(&w, &m)| if m { w } else { 0.0 }).collect();
    let columns = side.size().1;
    if let Some(at) = kept.iter().position(|w| !w.is_finite()) {
        return Err(CoreError::NotFinite { what, row: at / columns, value: kept[at] }.into());
    }
    let means = row_sums(&kept, columns).iter().zip(side.counts()).map(|(s, &n)| s / n.max(1) as f64).collect();
    diagnostics.push(mean, means)?;
    let below: Vec<f64> = kept.iter().map(|&w| f64::from(u8::from(w < 0.0))).collect();
    diagnostics.push(negative, row_sums(&below, columns))?;
    Ok(kept)
}

/// Terms of weight 1 with the given slopes in the tokens of both sides.
fn terms<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairTokens<P, C, E, D, T>,
    losses: &[f64],
    [chosen, rejected]: [Vec<f64>; 2],
    diagnostics: Diagnostics,
) -> Result<LossTerms<P, E, D, T>, CreditError> {
    let zeros = vec![0.0; losses.len()];
    let other = policy.rejected.attach(&zeros, &rejected)?;
    let both = policy.chosen.attach(losses, &chosen)?.try_add(other).map_err(CoreError::device)?;
    Ok(LossTerms::new(both, vec![1.0; losses.len()], diagnostics)?)
}

fn sums<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: &PairTokens<P, C, E, D, T>,
    ratios: &Ratios,
) -> PairSums {
    let sides = [&policy.chosen, &policy.rejected];
    let [chosen, rejected] = &ratios.cells;
    PairSums {
        logps: sides.map(|s| row_sums(&counted(s), s.size().1)),
        ratios: [row_sums(chosen, ratios.columns[0]), row_sums(rejected, ratios.columns[1])],
        lengths: sides.map(|s| s.counts().iter().map(|&n| n as f64).collect()),
    }
}

/// Adds `weight` times the mean negative log-likelihood of each row's tokens (0 for an empty one), which it returns.
fn add_nll<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    side: &TokenLogps<P, C, E, D, T>,
    weight: f64,
    losses: &mut [f64],
    slopes: &mut [f64],
) -> Vec<f64> {
    let (columns, counts) = (side.size().1, side.counts());
    let sums = row_sums(&counted(side), columns);
    let nll: Vec<f64> = sums.iter().zip(counts).map(|(s, &n)| -s / n.max(1) as f64).collect();
    losses.iter_mut().zip(&nll).for_each(|(loss, nll)| *loss += weight * nll);
    // A prompt's cells carry gradients as well, so theirs must stay 0.
    for (i, slope) in slopes.iter_mut().enumerate().filter(|(i, _)| side.mask()[*i]) {
        *slope -= weight / counts[i / columns].max(1) as f64;
    }
    nll
}
