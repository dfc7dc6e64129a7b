//! Figures of generated samples: rewards with intervals, wins against other samples, distances between sets, diversity.
//!
//! All take plain slices; a set of samples is a flat slice of rows of `dim` numbers.
//!
//! | figure | says |
//! |---|---|
//! | [`mean_interval`] | a mean with its 95 % interval |
//! | [`win_rate`] | how often a sample of one set is better than one of another |
//! | [`energy_distance`], [`mmd`] | how far two sets are from being draws of one distribution |
//! | [`mean_distance`], [`entropy`] | how different the samples of a set are from each other |

mod distances;
mod diversity;
mod estimate;
mod wins;

pub use distances::{energy_distance, median_distance, mmd};
pub use diversity::{entropy, mean_distance};
pub use estimate::{Estimate, mean_interval};
pub use wins::win_rate;

use crate::DiffusionError;

/// The rows of a set, of which there must be at least `least`.
fn rows<'a>(what: &'static str, set: &'a [f64], dim: usize, least: usize) -> Result<Vec<&'a [f64]>, DiffusionError> {
    let refuse = |problem: String| Err(DiffusionError::Input { method: what, problem });
    if dim == 0 || !set.len().is_multiple_of(dim) {
        return refuse(format!("{} numbers are no rows of {dim}", set.len()));
    }
    if set.len() / dim < least {
        return refuse(format!("{} samples; give at least {least}", set.len() / dim));
    }
    match set.iter().position(|v| !v.is_finite()) {
        Some(i) => refuse(format!("sample {} holds {}", i / dim, set[i])),
        None => Ok(set.chunks_exact(dim).collect()),
    }
}

/// Euclidean distance.
fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
}

/// Mean of `f` over all pairs of different rows.
fn mean_within(rows: &[&[f64]], f: impl Fn(&[f64], &[f64]) -> f64) -> f64 {
    let pairs = rows.len() * (rows.len() - 1) / 2;
    let sum: f64 = rows.iter().enumerate().map(|(i, a)| rows[..i].iter().map(|b| f(a, b)).sum::<f64>()).sum();
    sum / pairs as f64
}

/// Mean of `f` over all pairs of a row of each set.
fn mean_between(a: &[&[f64]], b: &[&[f64]], f: impl Fn(&[f64], &[f64]) -> f64) -> f64 {
    let sum: f64 = a.iter().map(|a| b.iter().map(|b| f(a, b)).sum::<f64>()).sum();
    sum / (a.len() * b.len()) as f64
}
