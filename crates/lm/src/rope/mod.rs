//! Rotary frequencies of a configuration, and their table of sines.
mod parse;

use std::f64::consts::{PI, TAU};
use std::sync::{Arc, Mutex};
use tropism_ops::{RopeTable, Scalar};

/// How positions become angles.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rope {
    theta: f64,
    scaling: Scaling,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Scaling {
    None,
    /// positions divided by a factor
    Linear(f64),
    /// Llama 3.1: low frequencies divided by `factor`, high ones kept, smooth between
    Llama3 {
        factor: f64,
        low: f64,
        high: f64,
        original: f64,
    },
    Yarn(Yarn),
}

/// YaRN (Peng et al. 2023): pairs that turn fewer than `slow` times over the original length are divided by `factor`, those
/// that turn more than `fast` times are kept, between them it is linear in the index of the pair; rotated vectors grow by
/// `amplitude`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Yarn {
    factor: f64,
    amplitude: f64,
    fast: f64,
    slow: f64,
    original: f64,
    /// whether the bounds are rounded to whole pairs
    truncate: bool,
}

impl Rope {
    /// Angle per step of position, in radians, for each pair of a head.
    fn frequencies(&self, head_dim: usize) -> Vec<f64> {
        let plain = |i: usize| self.theta.powf(-2.0 * i as f64 / head_dim as f64);
        let pairs = 0..head_dim / 2;
        match self.scaling {
            Scaling::None => pairs.map(plain).collect(),
            Scaling::Linear(factor) => pairs.map(|i| plain(i) / factor).collect(),
            Scaling::Llama3 { factor, low, high, original } => {
                let smooth = |f: f64| ((original * f / TAU - low) / (high - low)).clamp(0.0, 1.0);
                pairs.map(plain).map(|f| (1.0 - smooth(f)) * f / factor + smooth(f) * f).collect()
            }
            Scaling::Yarn(yarn) => {
                let (low, high) = yarn.bounds(head_dim as f64, self.theta);
                let divided = |i: usize| ((i as f64 - low) / (high - low)).clamp(0.0, 1.0);
                pairs.map(|i| plain(i) * (divided(i) / yarn.factor + 1.0 - divided(i))).collect()
            }
        }
    }

    fn amplitude(&self) -> f64 {
        if let Scaling::Yarn(yarn) = self.scaling { yarn.amplitude } else { 1.0 }
    }
}

impl Yarn {
    /// The pairs (as real numbers) at which the division begins and is complete.
    fn bounds(&self, head_dim: f64, theta: f64) -> (f64, f64) {
        let pair = |turns: f64| head_dim * (self.original / (turns * 2.0 * PI)).ln() / (2.0 * theta.ln());
        let (low, high) = (pair(self.fast), pair(self.slow));
        let (low, high) = if self.truncate { (low.floor(), high.ceil()) } else { (low, high) };
        let (low, high) = (low.max(0.0), high.min(head_dim - 1.0));
        // an empty range would divide by 0
        if low == high { (low, high + 0.001) } else { (low, high) }
    }
}

/// Table of sines that grows with the longest sequence seen; shared by clones of a model.
#[derive(Clone, Debug)]
pub(crate) struct RopeCache<E> {
    frequencies: Arc<Vec<f64>>,
    amplitude: f64,
    table: Arc<Mutex<RopeTable<E>>>,
}

impl<E: Scalar> RopeCache<E> {
    /// Empty without a rotary embedding.
    pub(crate) fn new(rope: Option<&Rope>, head_dim: usize) -> Self {
        let frequencies = rope.map(|r| r.frequencies(head_dim)).unwrap_or_default();
        let table = RopeTable::new(&frequencies, 0);
        let amplitude = rope.map_or(1.0, Rope::amplitude);
        RopeCache { frequencies: Arc::new(frequencies), amplitude, table: Arc::new(Mutex::new(table)) }
    }

    /// A table of at least `positions` positions.
    pub(crate) fn upto(&self, positions: usize) -> RopeTable<E> {
        // a poisoned lock still holds a whole table: it is replaced in one assignment
        let mut table = self.table.lock().unwrap_or_else(|e| e.into_inner());
        if table.positions() < positions && !self.frequencies.is_empty() {
            *table = RopeTable::scaled(&self.frequencies, self.amplitude, positions.next_power_of_two());
        }
        table.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frequencies(scaling: Scaling) -> Vec<f64> {
        Rope { theta: 1e4, scaling }.frequencies(16)
    }

    #[test]
    fn llama3_keeps_fast_turns_and_slows_slow_ones() {
        let plain = frequencies(Scaling::None);
        // turns over the original length: 20, 6.3, 2.0, 0.63, …
        let s = frequencies(Scaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original: 20.0 * TAU });
        assert_eq!(s[..2], plain[..2]);
        assert_eq!(s[3..], plain[3..].iter().map(|f| f / 8.0).collect::<Vec<_>>());
        let smooth = (2.0 - 1.0) / 3.0;
        assert!((s[2] - plain[2] * ((1.0 - smooth) / 8.0 + smooth)).abs() < 1e-15);
    }
}
