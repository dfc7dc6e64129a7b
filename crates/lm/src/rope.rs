//! Rotary frequencies of a configuration, and their table of sines.
use crate::error::LmError;
use serde_json::{Map, Value};
use std::path::Path;
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
}

impl Rope {
    /// From `rope_parameters` (newer style) or `rope_theta` with `rope_scaling` (older style).
    pub(crate) fn parse(raw: &Map<String, Value>, path: &Path) -> Result<Self, LmError> {
        let refuse = |key: &str, problem: String| LmError::Config { path: path.into(), key: key.into(), problem };
        let (name, table) = match raw.get("rope_parameters").filter(|v| !v.is_null()) {
            Some(v) => ("rope_parameters", Some(v)),
            None => ("rope_scaling", raw.get("rope_scaling").filter(|v| !v.is_null())),
        };
        let number = |key: &str| table.and_then(|t| t.get(key)).and_then(Value::as_f64);
        let need = |key: &str| number(key).ok_or_else(|| refuse(&format!("{name}.{key}"), "is missing or no number".into()));
        let theta = number("rope_theta").or_else(|| raw.get("rope_theta").and_then(Value::as_f64)).unwrap_or(1e4);
        let kind = table.and_then(|t| t.get("rope_type").or_else(|| t.get("type"))).and_then(Value::as_str);
        let scaling = match kind.unwrap_or("default") {
            "default" => Scaling::None,
            "linear" => Scaling::Linear(need("factor")?),
            "llama3" => Scaling::Llama3 {
                factor: need("factor")?,
                low: need("low_freq_factor")?,
                high: need("high_freq_factor")?,
                original: need("original_max_position_embeddings")?,
            },
            other => {
                let problem = format!("is `{other}`; supported are default, linear and llama3");
                return Err(refuse(&format!("{name}.rope_type"), problem));
            }
        };
        Ok(Rope { theta, scaling })
    }

    /// Angle per step of position, in radians, for each pair of a head.
    pub(crate) fn frequencies(&self, head_dim: usize) -> Vec<f64> {
        let plain = (0..head_dim / 2).map(|i| self.theta.powf(-2.0 * i as f64 / head_dim as f64));
        plain.map(|f| self.scaling.apply(f)).collect()
    }
}

impl Scaling {
    fn apply(self, frequency: f64) -> f64 {
        match self {
            Scaling::None => frequency,
            Scaling::Linear(factor) => frequency / factor,
            Scaling::Llama3 { factor, low, high, original } => {
                let turns = original * frequency / std::f64::consts::TAU;
                let smooth = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                (1.0 - smooth) * frequency / factor + smooth * frequency
            }
        }
    }
}

/// Table of sines that grows with the longest sequence seen; shared by clones of a model.
#[derive(Clone, Debug)]
pub(crate) struct RopeCache<E> {
    frequencies: Arc<Vec<f64>>,
    table: Arc<Mutex<RopeTable<E>>>,
}

impl<E: Scalar> RopeCache<E> {
    pub(crate) fn new(frequencies: Vec<f64>) -> Self {
        let table = RopeTable::new(&frequencies, 0);
        RopeCache { frequencies: Arc::new(frequencies), table: Arc::new(Mutex::new(table)) }
    }

    /// A table of at least `positions` positions.
    pub(crate) fn upto(&self, positions: usize) -> RopeTable<E> {
        // a poisoned lock still holds a whole table: it is replaced in one assignment
        let mut table = self.table.lock().unwrap_or_else(|e| e.into_inner());
        if table.positions() < positions {
            *table = RopeTable::new(&self.frequencies, positions.next_power_of_two());
        }
        table.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llama3_keeps_fast_turns_and_slows_slow_ones() {
        let s = Scaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original: 8192.0 };
        assert_eq!(s.apply(1.0), 1.0);
        assert_eq!(s.apply(1e-6), 1e-6 / 8.0);
        let middle = 2.5 * std::f64::consts::TAU / 8192.0;
        assert!((s.apply(middle) - middle * (0.5 / 8.0 + 0.5)).abs() < 1e-18);
    }
}
