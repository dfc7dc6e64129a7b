//! Model folders: every one with a `forward.json`, in f32 and in f64.
use super::{Tally, forward, preference, read};
use crate::error::XtaskError;
use dfdx::prelude::{Cpu, Device};
use serde_json::Value;
use std::path::{Path, PathBuf};
use tropism_lm::{Architecture, Loaded, load};
use tropism_ops::Scalar;

pub(super) fn check(folder: &Path, tally: &mut Tally) -> Result<(), XtaskError> {
    let entries = std::fs::read_dir(folder).map_err(XtaskError::io(folder))?;
    let mut models: Vec<PathBuf> =
        entries.filter_map(|e| Some(e.ok()?.path())).filter(|p| p.join("forward.json").exists()).collect();
    models.sort();
    if models.is_empty() {
        return Err(super::broken(folder, "holds no folder with a forward.json"));
    }
    for model in models {
        let config = read(&model.join("config.json"))?;
        let figures = read(&model.join("forward.json"))?;
        let known = |a: &Architecture| config["model_type"] == a.name();
        if Architecture::ALL.iter().any(known) {
            precision::<f32>(&model, &figures, "f32", tally)?;
            precision::<f64>(&model, &figures, "f64", tally)?;
        } else {
            tally.not_implemented += forward::CHECKS.len() + preference::CHECKS.len();
        }
    }
    Ok(())
}

fn precision<E: Scalar>(folder: &Path, figures: &Value, dtype: &str, tally: &mut Tally) -> Result<(), XtaskError>
where
    Cpu: Device<E>,
{
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let id = move |check: &str| format!("{name}/{dtype}/{check}");
    let reference = load::<Loaded, E>(folder, |c| Ok(Loaded::new(c)))?;
    forward::check(&reference, figures, &id, tally)?;
    let mut policy = reference.clone();
    tropism_lm::read_tensors(&mut policy, &folder.join("policy.safetensors"))?;
    preference::check(&policy, &reference, figures, &id, tally)
}

/// All numbers of a nested array, in order.
pub(super) fn numbers(v: &Value) -> Vec<f64> {
    match v {
        Value::Array(list) => list.iter().flat_map(numbers).collect(),
        v => v.as_f64().into_iter().collect(),
    }
}

/// As [`numbers`], for token ids and positions.
pub(super) fn indices(v: &Value) -> Vec<usize> {
    numbers(v).into_iter().map(|x| x as usize).collect()
}
