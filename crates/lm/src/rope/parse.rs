//! Rotary settings as `config.json` gives them.
use super::{Rope, Scaling, Yarn};
use crate::config::Keys;
use crate::error::LmError;
use serde_json::{Map, Value};

/// The object that holds the scaling, and its key.
struct Table<'a> {
    keys: Keys<'a>,
    name: &'static str,
    map: Option<&'a Map<String, Value>>,
}

/// Keys of the object that are read, or that do not matter.
const KNOWN: [&str; 16] = [
    "rope_type",
    "type",
    "rope_theta",
    "factor",
    "low_freq_factor",
    "high_freq_factor",
    "original_max_position_embeddings",
    "partial_rotary_factor",
    "attention_factor",
    "beta_fast",
    "beta_slow",
    "mscale",
    "mscale_all_dim",
    "truncate",
    "finetuned",
    "max_position_embeddings",
];

impl<'a> Table<'a> {
    fn of(keys: Keys<'a>) -> Result<Self, LmError> {
        let (name, value) = match keys.get("rope_parameters") {
            Some(v) => ("rope_parameters", Some(v)),
            None => ("rope_scaling", keys.get("rope_scaling")),
        };
        let map = value.and_then(Value::as_object);
        match (value, map) {
            (Some(v), None) => Err(keys.refuse(name, format!("is {v}, expected an object"))),
            _ => Ok(Table { keys, name, map }),
        }
    }

    /// Refuses what would turn positions into angles in another way.
    fn check(&self) -> Result<(), LmError> {
        if let Some((key, _)) = self.map.and_then(|m| m.iter().find(|(k, v)| !KNOWN.contains(&k.as_str()) && !v.is_null())) {
            return Err(self.refuse(key, "is a setting that is not supported"));
        }
        match self.number("partial_rotary_factor")? {
            Some(f) if f != 1.0 => {
                Err(self
                    .refuse("partial_rotary_factor", format!("is {f}; heads that are rotated in part are not supported")))
            }
            _ => Ok(()),
        }
    }

    fn scaling(&self, positions: usize) -> Result<Scaling, LmError> {
        let kind = self.map.and_then(|t| t.get("rope_type").or_else(|| t.get("type"))).and_then(Value::as_str);
        Ok(match kind.unwrap_or("default") {
            "default" => Scaling::None,
            "linear" => Scaling::Linear(self.need("factor")?),
            "dynamic" => self.dynamic(positions)?,
            "yarn" => self.yarn(positions)?,
            "llama3" => Scaling::Llama3 {
                factor: self.need("factor")?,
                low: self.need("low_freq_factor")?,
                high: self.need("high_freq_factor")?,
                original: self.need("original_max_position_embeddings")?,
            },
            other => {
                let problem = format!("is `{other}`; supported are default, linear, dynamic, llama3 and yarn");
                return Err(self.refuse("rope_type", problem));
            }
        })
    }

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
        let table = Table::of(keys)?;
        let theta = table.number("rope_theta")?.or(keys.number("rope_theta")?).unwrap_or(1e4);
        if theta <= 0.0 {
            return Err(keys.refuse("rope_theta", format!("is {theta}, it must be above 0")));
        }
        let scaling = table.scaling(positions)?;
        table.check()?;
        Ok(Rope { theta, scaling })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let plain = Rope { theta: 1e4, scaling: Scaling::None }.frequencies(16);
        assert_eq!(parsed(r#"{"rope_scaling": {"type": "dynamic", "factor": 2.0}}"#).unwrap(), (plain.clone(), 1.0));
        let halved = plain.iter().map(|f| f / 2.0).collect::<Vec<_>>();
        assert_eq!(parsed(r#"{"rope_scaling": {"type": "linear", "factor": 2.0}}"#).unwrap().0, halved);
        for (text, named) in [
            (r#"{"rope_scaling": {"type": "longrope", "long_factor": [1]}}"#, "`rope_scaling.rope_type` is `longrope`"),
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
            (r#"{"rope_parameters": {"full_attention": {}}}"#, "`rope_parameters.full_attention` is a setting"),
            (
                r#"{"rope_scaling": {"type": "default", "mrope_section": [1, 2]}}"#,
                "`rope_scaling.mrope_section` is a setting",
            ),
            (r#"{"rope_theta": 0}"#, "`rope_theta` is 0"),
        ] {
            let e = parsed(text).unwrap_err();
            assert!(e.contains(named), "{text}: {e}");
        }
    }
}
