//! Tests of the difference between two columns on the same rows; all two-sided.
use super::interval::mean_interval;
use super::resample::stream;
use super::{Figure, normal_cdf, student_cdf};
use crate::error::{EvaluationError, finite, same_length};
use rand_chacha::rand_core::Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Up to this many differences that are not zero, tests of signs and ranks enumerate their null distribution.
const EXACT_RANKS: usize = 50;
const EXACT_FLIPS: usize = 16;

/// A two-sided test on paired rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Test {
    /// mean of the differences `a − b` with its Student interval
    pub difference: Figure,
    /// the test's statistic: t, the smaller count of signs, the smaller sum of ranks, or the mean difference
    pub statistic: f64,
    /// two-sided p-value
    pub p: f64,
    /// rows that the test could use: all, or those whose difference is not 0
    pub used: usize,
}

/// Paired t-test: `t = mean(d) √n / sd(d)` against Student's distribution with n − 1 degrees of freedom. Differences that are all
/// equal have no spread: p is then 1 where they are 0, and 0 elsewhere.
///
/// # Errors
/// Fewer than two rows, unequal slices, values that are not finite.
pub fn paired_t(a: &[f64], b: &[f64]) -> Result<Test, EvaluationError> {
    let (d, difference) = differences(a, b)?;
    if d.len() < 2 {
        return Err(EvaluationError::Range { what: "rows", value: d.len(), expected: "a t-test needs at least two" });
    }
    let error = super::standard_error(&d)?;
    let statistic = if difference.value == 0.0 { 0.0 } else { difference.value / error };
    let p = (2.0 * student_cdf(-statistic.abs(), (d.len() - 1) as f64)).min(1.0);
    Ok(Test { difference, statistic, p, used: d.len() })
}

/// Exact sign test on discordant rows (McNemar's exact test for verdicts): with `b` positive and `c` negative differences,
/// `p = min(1, 2 Σ_{i ≤ min(b, c)} C(b + c, i) / 2^{b + c})`.
///
/// # Errors
/// Empty or unequal slices, values that are not finite.
pub fn sign_test(a: &[f64], b: &[f64]) -> Result<Test, EvaluationError> {
    let (d, difference) = differences(a, b)?;
    let positive = d.iter().filter(|d| **d > 0.0).count();
    let negative = d.iter().filter(|d| **d < 0.0).count();
    let (few, used) = (positive.min(negative), positive + negative);
    let n = used as f64;
    let log_share = |i: usize| {
        let k = i as f64;
        libm::lgamma(n + 1.0) - libm::lgamma(k + 1.0) - libm::lgamma(n - k + 1.0) - n * std::f64::consts::LN_2
    };
    let tail: f64 = (0..=few).map(|i| log_share(i).exp()).sum();
    Ok(Test { difference, statistic: few as f64, p: (2.0 * tail).min(1.0), used })
}

/// Wilcoxon's signed-rank test; differences of 0 are left out, equal sizes share their mean rank. Up to 50 differences the null
/// distribution is exact, ties included; beyond, normal with the variance corrected for ties.
///
/// # Errors
/// As [`sign_test`].
pub fn wilcoxon_signed_rank(a: &[f64], b: &[f64]) -> Result<Test, EvaluationError> {
    let (mut d, difference) = differences(a, b)?;
    d.retain(|d| *d != 0.0);
    if d.is_empty() {
        return Ok(Test { difference, statistic: 0.0, p: 1.0, used: 0 });
    }
    d.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let ranks = doubled_ranks(&d);
    let plus: u64 = d.iter().zip(&ranks).filter(|(d, _)| **d > 0.0).map(|(_, r)| r).sum();
    let smaller = plus.min(ranks.iter().sum::<u64>() - plus);
    let p = if d.len() <= EXACT_RANKS { exact_rank_p(&ranks, smaller) } else { normal_rank_p(&ranks, smaller) };
    Ok(Test { difference, statistic: smaller as f64 / 2.0, p, used: d.len() })
}

/// Paired permutation test of the mean: the signs of the differences are flipped, in all ways for at most 16 that are
/// not 0, else `draws` times at random, `p = (1 + hits) / (1 + draws)`.
///
/// # Errors
/// As [`sign_test`]; no draws.
pub fn sign_flip_test(a: &[f64], b: &[f64], draws: usize, seed: u64) -> Result<Test, EvaluationError> {
    let (mut d, difference) = differences(a, b)?;
    let n = d.len() as f64;
    d.retain(|d| *d != 0.0);
    if draws == 0 {
        return Err(EvaluationError::Range { what: "draws", value: 0, expected: "take at least 1" });
    }
    let sum = |signs: &dyn Fn(usize) -> bool| d.iter().enumerate().map(|(i, d)| if signs(i) { -d } else { *d }).sum::<f64>();
    let seen = d.iter().sum::<f64>().abs();
    // sums in another order differ in their last digits
    let bound = seen - 1e-12 * d.iter().map(|d| d.abs()).sum::<f64>();
    let p = if d.len() <= EXACT_FLIPS {
        let all = 1u64 << d.len();
        (0..all).filter(|bits| sum(&|i| bits >> i & 1 == 1).abs() >= bound).count() as f64 / all as f64
    } else {
        let extreme = |draw: u64| {
            let mut rng = stream(seed, draw);
            let words: Vec<u64> = (0..d.len().div_ceil(64)).map(|_| rng.next_u64()).collect();
            sum(&|i| words[i / 64] >> (i % 64) & 1 == 1).abs() >= bound
        };
        (1 + (0..draws as u64).into_par_iter().filter(|r| extreme(*r)).count()) as f64 / (1 + draws) as f64
    };
    Ok(Test { difference, statistic: d.iter().sum::<f64>() / n, p, used: d.len() })
}

fn differences(a: &[f64], b: &[f64]) -> Result<(Vec<f64>, Figure), EvaluationError> {
    finite("a", a)?;
    finite("b", b)?;
    same_length("b", a.len(), b.len())?;
    let d: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    let difference = mean_interval(&d)?;
    Ok((d, difference))
}

/// Twice the mean ranks of values in ascending order of size.
fn doubled_ranks(sorted: &[f64]) -> Vec<u64> {
    let mut ranks = Vec::with_capacity(sorted.len());
    for group in sorted.chunk_by(|a, b| a.abs() == b.abs()) {
        let before = ranks.len() as u64;
        ranks.extend(std::iter::repeat_n(2 * before + group.len() as u64 + 1, group.len()));
    }
    ranks
}

/// Twice the chance that a random half of the signs gives at most `smaller`, counted over all choices of signs.
fn exact_rank_p(ranks: &[u64], smaller: u64) -> f64 {
    let mut ways = vec![0.0; smaller as usize + 1];
    ways[0] = 1.0;
    for &rank in ranks {
        for sum in (rank as usize..ways.len()).rev() {
            ways[sum] += ways[sum - rank as usize];
        }
    }
    (2.0 * ways.iter().sum::<f64>() * 0.5f64.powi(ranks.len() as i32)).min(1.0)
}

/// The sum of ranks has mean Σr/2 and variance Σr²/4, which is the textbook's formula with its correction for ties.
fn normal_rank_p(ranks: &[u64], smaller: u64) -> f64 {
    let (mean, variance) = ranks.iter().map(|r| *r as f64).fold((0.0, 0.0), |(m, v), r| (m + r / 2.0, v + r * r / 4.0));
    (2.0 * normal_cdf((smaller as f64 - mean) / variance.sqrt())).min(1.0)
}
