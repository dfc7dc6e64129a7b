//! Rotary frequencies of a configuration, and their table of sines.
use crate::config::Keys;
use crate::error::LmError;
use serde_json::{Map, Value};
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

/// The object that holds the scaling, and its key.
struct Table<'a> {
    keys: Keys<'a>,
    name: &'static str,
    map: Option<&'a Map<String, Value>>,
}

impl Table<'_> {
    fn refuse(&self, key: &str, problem: impl Into<String>) -> LmError {
        self.keys.refuse(&format!("{}.{key}", self.name), problem)
    }

    fn number(&self, key: &str) -> Result<Option<f64>, LmError> {
        match self.map.and_then(|m| m.get(key)).filter(|v| !v.is_null()) {
            None => Ok(None),
            Some(v) => v.as_f64().map(Some).ok_or_else(|| self.refuse(key, format!("is {v}, expected a number"))),
        }
    }

    fn need(&self, key: &str) -> Result<f64, LmError> {
        let n = self.number(key)?.ok_or_else(|| self.refuse(key, "is missing"))?;
        if n > 0.0 { Ok(n) } else { Err(self.refuse(key, format!("is {n}, it must be above 0"))) }
    }

    /// YaRN as transformers 5 reads it.
    fn yarn(&self, positions: usize) -> Result<Scaling, LmError> {
        let key = "original_max_position_embeddings";
        let original = if self.number(key)?.is_some() { Some(self.need(key)?) } else { None };
        let factor = match (self.number("factor")?, original) {
            (None, Some(original)) => positions as f64 / original,
            _ => self.need("factor")?,
        };
        let grown = |m: f64| if factor <= 1.0 { 1.0 } else { 0.1 * m * factor.ln() + 1.0 };
        let given = |key: &str| Ok::<_, LmError>(self.number(key)?.filter(|n| *n != 0.0));
        let amplitude = match (self.number("attention_factor")?, given("mscale")?, given("mscale_all_dim")?) {
            (Some(a), _, _) => a,
            (None, Some(m), Some(all)) => grown(m) / grown(all),
            _ => grown(1.0),
        };
        Ok(Scaling::Yarn(Yarn {
            factor,
            amplitude,
            fast: given("beta_fast")?.unwrap_or(32.0),
            slow: given("beta_slow")?.unwrap_or(1.0),
            original: original.unwrap_or(positions as f64),
            truncate: self.map.and_then(|m| m.get("truncate")).and_then(Value::as_bool).unwrap_or(true),
        }))
    }

    /// Plain up to the model's own length, which is the longest sequence that is let in: nothing to scale. Beyond it the
    /// base would depend on each batch's longest sequence.
    fn dynamic(&self, positions: usize) -> Result<Scaling, LmError> {
        match self.number("original_max_position_embeddings")? {
            Some(n) if n != positions as f64 => {
                let problem =
                    format!("is {n}; `dynamic` is supported only where it is max_position_embeddings = {positions}");
                Err(self.refuse("original_max_position_embeddings", problem))
            }
            _ => Ok(Scaling::None),
        }
    }
}

impl Rope {
    /// From `rope_parameters` (newer style) or `rope_theta` with `rope_scaling` (older style).
    pub(crate) fn parse(keys: Keys, positions: usize) -> Result<Self, LmError> {
        let (name, value) = match keys.get("rope_parameters") {
            Some(v) => ("rope_parameters", Some(v)),
            None => ("rope_scaling", keys.get("rope_scaling")),
        };
        let map = value.and_then(Value::as_object);
        if let (Some(v), None) = (value, map) {
            return Err(keys.refuse(name, format!("is {v}, expected an object")));
        }
        let table = Table { keys, name, map };
        if table.number("partial_rotary_factor")?.is_some_and(|f| f != 1.0) {
            return Err(table.refuse("partial_rotary_factor", "is not 1; heads that are rotated in part are not supported"));
        }
        if let Some(key) = map.and_then(|m| m.iter().find(|(_, v)| v.is_object())).map(|(k, _)| k) {
            return Err(table.refuse(key, "is an object; settings per type of layer are not supported"));
        }
        let theta = table.number("rope_theta")?.or(keys.number("rope_theta")?).unwrap_or(1e4);
        if !(theta > 0.0) {
            return Err(keys.refuse("rope_theta", format!("is {theta}, it must be above 0")));
        }
        let kind = map.and_then(|t| t.get("rope_type").or_else(|| t.get("type"))).and_then(Value::as_str);
        let scaling = match kind.unwrap_or("default") {
            "default" => Scaling::None,
            "linear" => Scaling::Linear(table.need("factor")?),
            "dynamic" => table.dynamic(positions)?,
            "yarn" => table.yarn(positions)?,
            "llama3" => Scaling::Llama3 {
                factor: table.need("factor")?,
                low: table.need("low_freq_factor")?,
                high: table.need("high_freq_factor")?,
                original: table.need("original_max_position_embeddings")?,
            },
            other => {
                let problem = format!("is `{other}`; supported are default, linear, dynamic, llama3 and yarn");
                return Err(table.refuse("rope_type", problem));
            }
        };
        Ok(Rope { theta, scaling })
    }

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

    /// Frequencies of a head of 16 and the amplitude, from the text of a configuration of 2048 positions.
    fn parsed(text: &str) -> Result<(Vec<f64>, f64), String> {
        let raw = serde_json::from_str(text).map_err(|e| e.to_string())?;
        let rope = Rope::parse(Keys { raw: &raw, path: "config.json".as_ref() }, 2048).map_err(|e| e.to_string())?;
        Ok((rope.frequencies(16), rope.amplitude()))
    }

    fn close(found: &[f64], expected: &[f64]) {
        for (f, e) in found.iter().zip(expected) {
            assert!(((f - e) / e).abs() < 1e-14, "{f} against {e}");
        }
    }

    #[test]
    #[allow(clippy::unwrap_used)]
    fn yarn_by_the_formula_of_transformers() {
        // its function for `yarn`, run in f64 by a separate script
        let plain = [1.0, 0.316_227_766_016_837_94, 0.1, 0.025_693_505_988_868_08];
        let slow = [0.006_25, 0.001_383_496_476_323_665_7, 0.000_25, 7.905_694_150_420_948e-5];
        let (f, a) = parsed(r#"{"rope_scaling": {"type": "yarn", "factor": 4.0}}"#).unwrap();
        close(&f, &[plain, slow].concat());
        close(&[a], &[1.138_629_436_111_989]);
        let (f, a) = parsed(
            r#"{"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "beta_fast": 16, "beta_slow": 2, "truncate": false,
            "attention_factor": 1.5, "original_max_position_embeddings": 2048, "rope_theta": 10000}}"#,
        )
        .unwrap();
        let slow = [0.026_607_496_952_192_288, 0.004_261_619_201_882_39, 0.000_790_569_415_042_094_7, 0.000_25];
        close(&f, &[&plain[..3], &slow[..]].concat());
        assert_eq!(a, 1.5);
        // without a factor: how much longer the model is than it was
        let (f, _) = parsed(r#"{"rope_scaling": {"type": "yarn", "original_max_position_embeddings": 512}}"#).unwrap();
        close(&f[7..], &[7.905_694_150_420_948e-5]);
    }

    #[test]
    #[allow(clippy::unwrap_used)]
    fn other_scalings_and_refusals() {
        let plain = frequencies(Scaling::None);
        assert_eq!(parsed(r#"{"rope_scaling": {"type": "dynamic", "factor": 2.0}}"#).unwrap(), (plain.clone(), 1.0));
        let halved = plain.iter().map(|f| f / 2.0).collect::<Vec<_>>();
        assert_eq!(parsed(r#"{"rope_scaling": {"type": "linear", "factor": 2.0}}"#).unwrap().0, halved);
        for (text, named) in [
            (r#"{"rope_scaling": {"type": "longrope"}}"#, "`rope_scaling.rope_type` is `longrope`"),
            (r#"{"rope_scaling": {"type": "linear"}}"#, "`rope_scaling.factor` is missing"),
            (r#"{"rope_scaling": {"type": "linear", "factor": 0}}"#, "`rope_scaling.factor` is 0"),
            (r#"{"rope_scaling": {"type": "linear", "factor": "two"}}"#, "`rope_scaling.factor` is \"two\""),
            (
                r#"{"rope_scaling": {"type": "dynamic", "original_max_position_embeddings": 7}}"#,
                "`dynamic` is supported only",
            ),
            (r#"{"rope_scaling": {"type": "yarn"}}"#, "`rope_scaling.factor` is missing"),
            (r#"{"rope_scaling": "yarn"}"#, "`rope_scaling` is \"yarn\", expected an object"),
            (r#"{"rope_parameters": {"partial_rotary_factor": 0.5}}"#, "`rope_parameters.partial_rotary_factor`"),
            (r#"{"rope_parameters": {"full_attention": {}}}"#, "`rope_parameters.full_attention` is an object"),
            (r#"{"rope_theta": 0}"#, "`rope_theta` is 0"),
        ] {
            let e = parsed(text).unwrap_err();
            assert!(e.contains(named), "{text}: {e}");
        }
    }
}
