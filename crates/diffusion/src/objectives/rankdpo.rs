//! RankDPO: whole rankings, with pair weights of discounted gains.

use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use tropism_core::numerics::to_f64;
use tropism_core::options::{any, positive};
use tropism_core::{Column, CoreError, Diagnostics, Domain, LossTerms};

use super::ErrorTable;
use super::method::{method, options};
use super::shared::{check_values, logistic};
use crate::DiffusionError;
use crate::tensors::attach_rows;

options! {
    /// Options of [`rankdpo()`].
    RankDpo = "rankdpo", "Scalable Ranked Preference Optimization for Text-to-Image Generation, arXiv 2410.18013" {
        /// Strength `β > 0`, on errors averaged over dimensions; 5000 by default, for the paper's is not known.
        beta: f64 = 5000.0, with_beta, positive;
        /// Logarithm of the discount.
        discount: Discount = Discount::Natural, with_discount, any;
        /// Whether each list's weights are scaled to sum to `K(K−1)/2`, a mean of 1; off by default, as in the paper. Use it to compare
        /// with other weights, for those of the paper are small.
        normalized: bool = false, with_normalized, any;
    }
}

/// The logarithm in the discount `log(1 + rank)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Discount {
    /// To base e.
    #[default]
    Natural,
    /// To base 2, as usual for discounted gains; all weights are `ln 2` times those of [`Natural`](Self::Natural).
    Binary,
}

method!(RankDpo, Lists(policy, reference), [Column::cell("win_rate", Domain::Share)], |this, read| {
    rankdpo(policy, reference, &read("win_rate"), this)
});

impl RankDpo {
    /// Weights `[K, K]` of a list's pairs from its win rates: `Δ_ij = |2^{φ_i} − 2^{φ_j}| · |1/D(τ_i) − 1/D(τ_j)|` at `(i, j)` where `i`
    /// is preferred to `j`, 0 elsewhere; `D(τ) = log(1 + τ)` of the rank, 1 for the best. Ties in the win rate weigh nothing and take
    /// ranks in the order of the list.
    pub fn pair_weights(&self, win_rates: &[f64]) -> Vec<f64> {
        let k = win_rates.len();
        let mut order: Vec<usize> = (0..k).collect();
        order.sort_by(|&a, &b| win_rates[b].total_cmp(&win_rates[a]));
        let mut discounts = vec![0.0; k];
        for (rank, &i) in order.iter().enumerate() {
            let log = libm::log(2.0 + rank as f64);
            discounts[i] = if self.discount == Discount::Binary { std::f64::consts::LN_2 / log } else { 1.0 / log };
        }
        let gain = |i: usize| libm::exp2(win_rates[i]);
        let weight = |i: usize, j: usize| match win_rates[i] > win_rates[j] {
            true => (gain(i) - gain(j)) * (discounts[i] - discounts[j]).abs(),
            false => 0.0,
        };
        let weights: Vec<f64> = (0..k * k).map(|at| weight(at / k, at % k)).collect();
        let total: f64 = weights.iter().sum();
        match self.normalized && total > 0.0 {
            true => weights.iter().map(|w| w * (k * (k - 1)) as f64 / 2.0 / total).collect(),
            false => weights,
        }
    }
}

/// The RankDPO loss of `P` lists of `K` samples with their win rates `φ`, row by row.
///
/// With `s_i = e^θ_i − e^ref_i` and the weights of [`RankDpo::pair_weights`]:
///
/// ```text
/// losses = −Σ_{i≻j} Δ_ij log σ(−(β/2)(s_i − s_j))     weights = 1
/// ∂losses/∂s_i = (β/2) [Σ_{j: i≻j} Δ_ij σ((β/2)(s_i − s_j)) − Σ_{j: j≻i} Δ_ji σ((β/2)(s_j − s_i))]
/// ```
///
/// All samples of a list share their time. At `policy = reference` the loss is `ln 2 · Σ Δ`; a list of ties has loss 0.
///
/// Source: arXiv 2410.18013, equations 5 to 7, with means over dimensions and `β/2` as in Diffusion-DPO. There is no official code. One
/// sentence and a figure of the paper rank by the predicted `s`; equation 6 and algorithm 2 rank by `φ`, as here.
///
/// # Errors
/// [`DiffusionError::Option`]; [`DiffusionError::Value`] for a win rate outside 0 to 1; [`DiffusionError::Shape`];
/// [`DiffusionError::Input`] for lists of one; [`DiffusionError::Core`].
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_diffusion::objectives::{ErrorTable, RankDpo, rankdpo};
///
/// let dev = Cpu::default();
/// let policy = ErrorTable::new(dev.tensor([[0.12_f64, 0.05, 0.11, 0.07]]))?;
/// let reference = ErrorTable::new(dev.tensor([[0.1; 4]]))?;
/// let terms = rankdpo(policy, reference, &[0.9, 0.6, 0.4, 0.1], &RankDpo::default().with_beta(20.0))?;
/// assert!((terms.values()[0] - 1.2503182417).abs() < 1e-9);
/// # Ok::<(), tropism_diffusion::DiffusionError>(())
/// ```
pub fn rankdpo<P: Dim, K: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: ErrorTable<P, K, E, D, T>,
    reference: ErrorTable<P, K, E, D>,
    win_rates: &[f64],
    config: &RankDpo,
) -> Result<LossTerms<P, E, D, T>, DiffusionError> {
    config.check()?;
    let (rows, k) = policy.size();
    check_values("win rate", win_rates, rows * k, (|w| (0.0..=1.0).contains(&w), "from 0 to 1"))?;
    let weights: Vec<f64> = win_rates.chunks(k).flat_map(|list| config.pair_weights(list)).collect();
    weighted_ranking(policy, reference, &weights, config.beta)
}

/// The loss of [`rankdpo()`] with given weights `[P, K, K]`, row by row: of the pair whose first member is preferred to the second.
///
/// # Errors
/// [`DiffusionError::Value`] for a weight that is negative, or for a pair with weights in both directions; otherwise as [`rankdpo()`].
pub fn weighted_ranking<P: Dim, K: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: ErrorTable<P, K, E, D, T>,
    reference: ErrorTable<P, K, E, D>,
    weights: &[f64],
    beta: f64,
) -> Result<LossTerms<P, E, D, T>, DiffusionError> {
    let (rows, k) = policy.size();
    DiffusionError::check_shape("reference errors", (rows, k), reference.size())?;
    if k < 2 {
        let problem = "a list of one sample has no pairs; give at least two samples a prompt".to_owned();
        return Err(DiffusionError::Input { method: RankDpo::NAME, problem });
    }
    check_values("pair weight", weights, rows * k * k, (|w| w >= 0.0, "finite and at least 0"))?;
    let theirs = to_f64(&reference.errors);
    let changes: Vec<f64> = to_f64(&policy.errors).iter().zip(theirs).map(|(e, r)| e - r).collect();
    let (mut losses, mut slopes, mut accuracies) = (vec![0.0; rows], vec![0.0; rows * k], vec![0.0; rows]);
    for row in 0..rows {
        let (s, w) = (&changes[row * k..(row + 1) * k], &weights[row * k * k..(row + 1) * k * k]);
        let (mut right, mut total) = (0.0, 0.0);
        for (i, j) in (0..k * k).map(|at| (at / k, at % k)).filter(|(i, j)| w[i * k + j] > 0.0) {
            let (value, slope) = logistic(-beta / 2.0 * (s[i] - s[j]));
            losses[row] += w[i * k + j] * value;
            slopes[row * k + i] -= w[i * k + j] * slope * beta / 2.0;
            slopes[row * k + j] += w[i * k + j] * slope * beta / 2.0;
            right += f64::from(u8::from(s[i] < s[j]));
            total += 1.0;
        }
        accuracies[row] = if total > 0.0 { right / total } else { 0.0 };
    }
    CoreError::check_finite("loss", &losses)?;
    let mut diagnostics = Diagnostics::default();
    diagnostics.push("rewards/accuracies", accuracies)?;
    diagnostics.push("pair_weights", weights.chunks(k * k).map(|w| w.iter().sum()).collect())?;
    diagnostics.push("error_changes", changes.chunks(k).map(|c| c.iter().sum::<f64>() / k as f64).collect())?;
    Ok(LossTerms::new(attach_rows(&losses, policy.errors, &slopes)?, vec![1.0; rows], diagnostics)?)
}

/// Win rates `[K]` of a list from scores of several judges `[judges][K]`: the share of all comparisons, over judges and other samples,
/// that a sample wins; ties count for neither, so that without ties the rates sum to `K/2`.
///
/// Source: arXiv 2410.18013, algorithm 1.
///
/// # Errors
/// [`DiffusionError::Core`] for no judges, judges of different lists or scores that are not finite; [`DiffusionError::Input`] for a list of
/// one.
///
/// ```
/// use tropism_diffusion::objectives::win_rates;
///
/// assert_eq!(win_rates(&[vec![3.0, 1.0, 2.0], vec![2.0, 1.0, 3.0]])?, [0.75, 0.0, 0.75]);
/// # Ok::<(), tropism_diffusion::DiffusionError>(())
/// ```
pub fn win_rates(scores: &[Vec<f64>]) -> Result<Vec<f64>, DiffusionError> {
    let Some(k) = scores.first().map(Vec::len) else {
        return Err(CoreError::Empty { what: "judges" }.into());
    };
    if k < 2 {
        let problem = "a list of one sample wins and loses nothing".to_owned();
        return Err(DiffusionError::Input { method: RankDpo::NAME, problem });
    }
    for judge in scores {
        CoreError::check_size("scores of a judge", k, judge.len())?;
        CoreError::check_finite("score", judge)?;
    }
    let wins = |i: usize| scores.iter().map(|judge| judge.iter().filter(|s| judge[i] > **s).count()).sum::<usize>();
    Ok((0..k).map(|i| wins(i) as f64 / (scores.len() * (k - 1)) as f64).collect())
}
