//! `adapter_config.json`, as PEFT writes and reads it.
use super::config::{LoraConfig, Targets};
use crate::architecture::Names;
use crate::error::LmError;
use serde_json::{Map, Value, json};
use std::path::Path;

/// Do not change what is computed: where the base model lies, how the adapter was started, settings of methods that are off. `fan_in_fan_out` follows from the architecture, in PEFT as here.
const HARMLESS: &[&str] = &[
    "auto_mapping",
    "base_model_name_or_path",
    "fan_in_fan_out",
    "inference_mode",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
];

/// Read in [`parse`] and [`check`].
const READ: &[&str] = &[
    "peft_type",
    "task_type",
    "r",
    "lora_alpha",
    "target_modules",
    "layers_to_transform",
    "layers_pattern",
    "use_rslora",
    "bias",
    "lora_dropout",
    "init_lora_weights",
];

/// Ways to start an adapter that leave the base model's weights as they are.
const STARTS: &[&str] = &["gaussian", "eva", "orthogonal"];

/// The keys of one file.
struct Keys<'a> {
    path: &'a Path,
    raw: Map<String, Value>,
}

impl Keys<'_> {
    fn refuse(&self, key: &str, problem: impl Into<String>) -> LmError {
        LmError::Config { path: self.path.into(), key: key.into(), problem: problem.into() }
    }

    /// A value that is there and not null.
    fn get(&self, key: &str) -> Option<&Value> {
        self.raw.get(key).filter(|v| !v.is_null())
    }

    /// A key that has to be left out or have one of these values.
    fn only(&self, key: &str, allowed: &[Value]) -> Result<(), LmError> {
        match self.get(key) {
            Some(v) if !allowed.contains(v) => {
                let all: Vec<String> = allowed.iter().map(Value::to_string).collect();
                Err(self.refuse(key, format!("is {v}, which is not supported; supported: {}", all.join(", "))))
            }
            _ => Ok(()),
        }
    }

    fn size(&self, key: &str, v: &Value) -> Result<usize, LmError> {
        let size = v.as_u64().and_then(|n| usize::try_from(n).ok());
        size.ok_or_else(|| self.refuse(key, format!("is {v}, it must be a whole number of 0 or more")))
    }

    fn needed(&self, key: &str) -> Result<&Value, LmError> {
        self.get(key).ok_or_else(|| self.refuse(key, "is missing"))
    }
}

/// Reads the text of an `adapter_config.json`. A setting that changes the computation and is not supported is an error that
/// names its key; so is a key that is not known and not off.
pub(super) fn parse(text: &str, path: &Path, names: Names) -> Result<LoraConfig, LmError> {
    let broken = |e: serde_json::Error| LmError::file(path, format!("not a usable adapter configuration: {e}"));
    let keys = Keys { path, raw: serde_json::from_str(text).map_err(broken)? };
    check(&keys, names)?;
    let alpha = keys.needed("lora_alpha")?;
    let layers = match keys.get("layers_to_transform") {
        None => None,
        Some(Value::Array(list)) if list.is_empty() => None,
        Some(Value::Array(list)) => {
            Some(list.iter().map(|v| keys.size("layers_to_transform", v)).collect::<Result<_, _>>()?)
        }
        Some(one) => Some(vec![keys.size("layers_to_transform", one)?]),
    };
    Ok(LoraConfig {
        r: keys.size("r", keys.needed("r")?)?,
        alpha: alpha.as_f64().ok_or_else(|| keys.refuse("lora_alpha", format!("is {alpha}, it must be a number")))?,
        target_modules: serde_json::from_value::<Targets>(keys.needed("target_modules")?.clone())
            .map_err(|e| keys.refuse("target_modules", format!("cannot be used: {e}")))?,
        layers_to_transform: layers,
        use_rslora: keys.get("use_rslora").is_some_and(|v| v == true),
    })
}

/// Refuses what would be computed differently.
fn check(keys: &Keys, names: Names) -> Result<(), LmError> {
    keys.needed("peft_type")?;
    keys.only("peft_type", &[json!("LORA")])?;
    keys.only("task_type", &[json!("CAUSAL_LM")])?;
    keys.only("bias", &[json!("none")])?;
    if let Some(v) = keys.get("lora_dropout").filter(|v| v.as_f64() != Some(0.0)) {
        let problem = format!("is {v}; dropout is not supported, set it to 0 to use the adapter without");
        return Err(keys.refuse("lora_dropout", problem));
    }
    keys.only("use_rslora", &[json!(true), json!(false)])?;
    keys.only("layers_pattern", &[json!(names.parts().layers), json!([names.parts().layers]), json!([])])?;
    let starts: Vec<Value> = [json!(true), json!(false)].into_iter().chain(STARTS.iter().map(|s| json!(s))).collect();
    keys.only("init_lora_weights", &starts)?;
    let off = |v: &Value| match v {
        Value::Null | Value::Bool(false) => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    let known = |key: &String| READ.contains(&key.as_str()) || HARMLESS.contains(&key.as_str());
    match keys.raw.iter().find(|(key, v)| !known(key) && !off(v)) {
        Some((key, v)) => Err(keys.refuse(key, format!("is {v}, which is not supported; it would have to be off"))),
        None => Ok(()),
    }
}

/// The text of an `adapter_config.json` for an adapter on `modules` of the model `base`.
pub(super) fn to_json(config: &LoraConfig, modules: &[String], base: &str, names: Names) -> String {
    // PEFT declares alpha as a whole number, and shows it as one
    let whole = config.alpha.fract() == 0.0 && config.alpha < 1e15;
    let alpha = if whole { json!(config.alpha as i64) } else { json!(config.alpha) };
    let raw = json!({
        "alpha_pattern": {}, "base_model_name_or_path": base, "bias": "none", "fan_in_fan_out": names.turned(),
        "inference_mode": true, "init_lora_weights": true, "layers_pattern": null,
        "layers_to_transform": config.layers_to_transform, "lora_alpha": alpha, "lora_dropout": 0.0,
        "modules_to_save": null, "peft_type": "LORA", "r": config.r, "rank_pattern": {}, "revision": null,
        "target_modules": modules, "task_type": "CAUSAL_LM", "use_dora": false, "use_rslora": config.use_rslora,
    });
    format!("{raw:#}\n")
}
