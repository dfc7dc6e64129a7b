//! What a stage of a denoiser learns.
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tropism_diffusion::objectives::{DiffusionKind, DiffusionObjective};

/// `{ method = "denoising" }`, or a preference loss on pairs of samples: `{ method = "diffusion_dpo", beta = 500.0 }`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Map<String, Value>", into = "Map<String, Value>")]
pub enum DenoiseObjective {
    /// errors on the world's samples: pre-training
    Denoising,
    /// a loss on errors of pairs
    Pairs(DiffusionObjective),
}

const DENOISING: &str = "denoising";

impl DenoiseObjective {
    /// The method's name.
    pub fn name(&self) -> &'static str {
        match self {
            DenoiseObjective::Denoising => DENOISING,
            DenoiseObjective::Pairs(o) => o.name(),
        }
    }
}

impl TryFrom<Map<String, Value>> for DenoiseObjective {
    type Error = String;

    fn try_from(map: Map<String, Value>) -> Result<Self, String> {
        if map.get("method").and_then(Value::as_str) == Some(DENOISING) {
            return match map.keys().find(|k| *k != "method") {
                Some(key) => Err(format!("`{DENOISING}` takes no `{key}`; it has no options")),
                None => Ok(DenoiseObjective::Denoising),
            };
        }
        let objective: DiffusionObjective = serde_json::from_value(Value::Object(map)).map_err(|e| e.to_string())?;
        objective.check().map_err(|e| e.to_string())?;
        let pairs = matches!(objective.input(), DiffusionKind::Pairs | DiffusionKind::PolicyPairs);
        if !pairs || !objective.columns().is_empty() {
            let needs: Vec<&str> = objective.columns().iter().map(|c| c.name).collect();
            let more = if needs.is_empty() { String::new() } else { format!(" and `{}`", needs.join("`, `")) };
            let name = objective.name();
            return Err(format!(
                "`{name}` reads {}{more}; stages of denoisers give errors of pairs alone",
                objective.input()
            ));
        }
        Ok(DenoiseObjective::Pairs(objective))
    }
}

impl From<DenoiseObjective> for Map<String, Value> {
    fn from(objective: DenoiseObjective) -> Self {
        let value = match objective {
            DenoiseObjective::Denoising => Ok(serde_json::json!({ "method": DENOISING })),
            DenoiseObjective::Pairs(o) => serde_json::to_value(o),
        };
        match value {
            Ok(Value::Object(map)) => map,
            _ => Map::new(),
        }
    }
}
