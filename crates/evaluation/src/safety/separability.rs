//! Whether chosen and rejected answers can be told apart by a linear probe.
use super::probe::fit_probe;
use crate::error::{EvaluationError, finite, same_length};
use crate::figures::{clustered, positive};
use crate::stats::Figure;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::Serialize;
use std::collections::BTreeSet;

/// How separability is measured.
#[derive(Clone, Debug, PartialEq)]
pub struct SeparabilityOptions {
    /// parts of the prompts, each held out once
    pub folds: usize,
    /// penalties to choose from, by the accuracy on a fifth of the training prompts; of equally good ones the largest
    pub lambdas: Vec<f64>,
    /// of the split
    pub seed: u64,
}

impl Default for SeparabilityOptions {
    fn default() -> Self {
        Self { folds: 5, lambdas: vec![1e-3, 1e-2, 1e-1, 1.0], seed: 0 }
    }
}

/// Held-out accuracy of the probe.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Separability {
    /// share of answers whose side is told rightly: 0.5 where nothing can be told. Its interval is over prompts
    pub accuracy: Figure,
    /// share of pairs whose chosen answer has the larger score, equal ones by half
    pub pairwise: Figure,
    /// the penalty chosen in each fold
    pub lambdas: Vec<f64>,
}

/// Linear separability of chosen and rejected answers from features (hidden states, or [`super::text_features`]), pair by
/// pair. Split by prompt: answers to one prompt are never on both sides, which would leak. Features are standardised by the
/// training part. High values warn that DPO can win by style alone.
///
/// # Errors
/// Slices of unequal length, fewer prompts than folds, fewer than two folds, values that are not finite, penalties that are
/// not positive.
///
/// # Source
/// More is Less (arXiv 2504.02193); feature layer, pooling and penalty of the paper are not known, these are ours.
pub fn separability(
    chosen: &[&[f64]],
    rejected: &[&[f64]],
    prompts: &[usize],
    options: &SeparabilityOptions,
) -> Result<Separability, EvaluationError> {
    check(chosen, rejected, prompts, options)?;
    let order = shuffled(prompts, options.seed);
    let data = Data { chosen, rejected, prompts };
    let (mut right, mut above) = (vec![0.0; chosen.len()], vec![0.0; chosen.len()]);
    let mut lambdas = Vec::new();
    for fold in 0..options.folds {
        let (out, kept) = split(&order, options.folds, fold);
        let lambda = data.choose(&kept, &options.lambdas)?;
        lambdas.push(lambda);
        for (row, [w, l]) in data.scores(&kept, &out, lambda)? {
            right[row] = 0.5 * (f64::from(u8::from(w > 0.0)) + f64::from(u8::from(l <= 0.0)));
            above[row] = if w > l { 1.0 } else { 0.5 * f64::from(u8::from(w == l)) };
        }
    }
    Ok(Separability {
        accuracy: clustered("answers", &right, prompts)?.clamped(0.0, 1.0),
        pairwise: clustered("pairs", &above, prompts)?.clamped(0.0, 1.0),
        lambdas,
    })
}

struct Data<'a> {
    chosen: &'a [&'a [f64]],
    rejected: &'a [&'a [f64]],
    prompts: &'a [usize],
}

impl Data<'_> {
    /// The penalty that does best on the last fifth of the prompts.
    fn choose(&self, kept: &[usize], lambdas: &[f64]) -> Result<f64, EvaluationError> {
        let mut best = (f64::NEG_INFINITY, lambdas[0]);
        if lambdas.len() == 1 || kept.len() < 5 {
            return Ok(best.1);
        }
        let (out, inner) = split(kept, 5, 4);
        for &lambda in lambdas {
            let scores = self.scores(&inner, &out, lambda)?;
            let hits: usize = scores.iter().map(|(_, [w, l])| usize::from(*w > 0.0) + usize::from(*l <= 0.0)).sum();
            let accuracy = hits as f64 / scores.len() as f64;
            if (accuracy, lambda) > best {
                best = (accuracy, lambda);
            }
        }
        Ok(best.1)
    }

    /// Scores of the pairs of some prompts by a probe fitted on others.
    fn scores(&self, fit: &[usize], on: &[usize], lambda: f64) -> Result<Vec<(usize, [f64; 2])>, EvaluationError> {
        let rows = |of: &[usize]| {
            let of: BTreeSet<usize> = of.iter().copied().collect();
            (0..self.prompts.len()).filter(|&i| of.contains(&self.prompts[i])).collect::<Vec<_>>()
        };
        let (fit, on) = (rows(fit), rows(on));
        let scale = Scale::of(fit.iter().flat_map(|&i| [self.chosen[i], self.rejected[i]]));
        let features: Vec<Vec<f64>> =
            fit.iter().flat_map(|&i| [self.chosen[i], self.rejected[i]]).map(|x| scale.apply(x)).collect();
        let labels: Vec<bool> = (0..features.len()).map(|i| i % 2 == 0).collect();
        let probe = fit_probe(&features.iter().map(Vec::as_slice).collect::<Vec<_>>(), &labels, lambda)?;
        let score = |x: &[f64]| probe.score(&scale.apply(x));
        Ok(on.into_iter().map(|i| (i, [score(self.chosen[i]), score(self.rejected[i])])).collect())
    }
}

/// Means and deviations of features; constant ones stay as they are, at 0.
struct Scale(Vec<[f64; 2]>);

impl Scale {
    fn of<'a>(rows: impl Iterator<Item = &'a [f64]>) -> Self {
        let mut sums: Vec<[f64; 2]> = Vec::new();
        let mut n = 0.0;
        for row in rows {
            n += 1.0;
            sums.resize(row.len(), [0.0; 2]);
            sums.iter_mut().zip(row).for_each(|(s, x)| *s = [s[0] + x, s[1] + x * x]);
        }
        let moments = |[sum, squares]: [f64; 2]| {
            let mean = sum / n;
            let variance = squares / n - mean * mean;
            [mean, if variance > 1e-12 * (squares / n) { 1.0 / variance.sqrt() } else { 0.0 }]
        };
        Self(sums.into_iter().map(moments).collect())
    }

    fn apply(&self, row: &[f64]) -> Vec<f64> {
        row.iter().zip(&self.0).map(|(x, [mean, inverse])| (x - mean) * inverse).collect()
    }
}

fn check(
    chosen: &[&[f64]],
    rejected: &[&[f64]],
    prompts: &[usize],
    options: &SeparabilityOptions,
) -> Result<(), EvaluationError> {
    same_length("rejected features", chosen.len(), rejected.len())?;
    same_length("prompts", chosen.len(), prompts.len())?;
    let dim = chosen.first().ok_or(EvaluationError::Empty { what: "pairs" })?.len();
    for row in chosen.iter().chain(rejected) {
        finite("features", row)?;
        same_length("features", dim, row.len())?;
    }
    positive("lambda", &options.lambdas)?;
    let different = prompts.iter().collect::<BTreeSet<_>>().len();
    if options.folds < 2 || options.folds > different {
        let expected = "take at least 2, and no more than there are prompts";
        return Err(EvaluationError::Range { what: "folds", value: options.folds, expected });
    }
    Ok(())
}

/// Different prompts in random order.
fn shuffled(prompts: &[usize], seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = prompts.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for i in (1..order.len()).rev() {
        order.swap(i, ((u128::from(rng.next_u64()) * (i as u128 + 1)) >> 64) as usize);
    }
    order
}

/// Part number `fold` of `folds`, and the rest.
fn split(order: &[usize], folds: usize, fold: usize) -> (Vec<usize>, Vec<usize>) {
    let edge = |f: usize| f * order.len() / folds;
    let part = edge(fold)..edge(fold + 1);
    let kept = order.iter().enumerate().filter(|(i, _)| !part.contains(i)).map(|(_, p)| *p).collect();
    (order[part.clone()].to_vec(), kept)
}
