//! What checkpoints of all kinds of stages hold: the policy, the optimiser's moments, a state.
use crate::error::TrainError;
use crate::reference::{ReferenceLogps, from_tensors};
use crate::stage::Stage;
use dfdx::prelude::*;
use safetensors::{Dtype as Stored, SafeTensors, tensor::TensorView};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use tropism_lm::{Decoder, Dims, Loaded, WeightDtype, load};
use tropism_ops::{AdamW, Moment, Moments, Scalar};

pub(crate) const STATE: &str = "state.json";
const MOMENTS: &str = "optimiser.safetensors";
const ADAPTER: &str = "adapter";

/// A tensor on its way to a file.
pub(crate) type Part = (String, Stored, Vec<usize>, Vec<u8>);

/// The name of the stage that a checkpoint belongs to, whatever its kind; nothing when there is no checkpoint.
///
/// # Errors
/// A file that cannot be read as a checkpoint's.
pub fn checkpointed_stage(folder: &Path) -> Result<Option<String>, TrainError> {
    let state: Option<Value> = read_state(folder)?;
    Ok(state.and_then(|s| s["stage"]["name"].as_str().map(str::to_owned)))
}

/// The state of a checkpoint; nothing when there is no checkpoint.
pub(crate) fn read_state<S: DeserializeOwned>(folder: &Path) -> Result<Option<S>, TrainError> {
    let path = folder.join(STATE);
    if !path.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(&path).map_err(TrainError::io(&path))?;
    let broken = |e| TrainError::Checkpoint { path: path.clone(), problem: format!("not a checkpoint's state: {e}") };
    serde_json::from_str(&text).map(Some).map_err(broken)
}

pub(crate) fn write_state(folder: &Path, state: &impl Serialize) -> Result<(), TrainError> {
    let path = folder.join(STATE);
    let text = serde_json::to_string_pretty(state).map_err(|e| TrainError::Io { path: path.clone(), source: e.into() })?;
    fs::write(&path, text).map_err(TrainError::io(&path))
}

/// How weights are stored so that they come back to the bit.
pub(crate) fn exact<E: Scalar>() -> WeightDtype {
    if wide::<E>() { WeightDtype::F64 } else { WeightDtype::F32 }
}

/// Writes the policy, and its adapter apart where it has one.
pub(crate) fn save_policy<M: Dims, E: Scalar>(policy: &Decoder<M, E>, folder: &Path) -> Result<(), TrainError>
where
    Cpu: Device<E>,
{
    if policy.adapter().is_none() {
        return Ok(policy.save(folder, exact::<E>())?);
    }
    let adapter = folder.join(ADAPTER);
    fs::create_dir_all(&adapter).map_err(TrainError::io(&adapter))?;
    policy.save_adapter(&adapter, "", exact::<E>())?;
    Ok(policy.base()?.save(folder, exact::<E>())?)
}

/// Reads what [`save_policy`] wrote of a stage's policy.
pub(crate) fn load_policy<O, E: Scalar>(stage: &Stage<O>, folder: &Path) -> Result<Decoder<Loaded, E>, TrainError>
where
    Cpu: Device<E>,
{
    let policy: Decoder<Loaded, E> = load(folder, |c| Ok(Loaded::new(c)))?;
    match stage.lora {
        Some(_) => Ok(policy.with_adapter_folder(&folder.join(ADAPTER))?),
        None => stage.with_frozen(policy),
    }
}

fn bytes<E: Scalar>(values: &[E]) -> Vec<u8> {
    match wide::<E>() {
        true => values.iter().flat_map(|v| v.f().to_le_bytes()).collect(),
        false => values.iter().flat_map(|v| (v.f() as f32).to_le_bytes()).collect(),
    }
}

/// Whether the float type has 64 bits.
fn wide<E: Scalar>() -> bool {
    size_of::<E>() == 8
}

/// Writes the optimiser's moments, and further tensors beside them.
pub(crate) fn save_moments<E: Scalar>(optimiser: &AdamW<E>, others: Vec<Part>, folder: &Path) -> Result<(), TrainError>
where
    Cpu: Device<E>,
{
    let (path, dtype) = (folder.join(MOMENTS), if wide::<E>() { Stored::F64 } else { Stored::F32 });
    let mut parts: Vec<Part> = vec![];
    for (name, m) in &optimiser.moments {
        for (which, moment) in [("first", &m.first), ("second", &m.second)] {
            let (dtype, bytes) = match moment {
                Moment::Full(v) => (dtype, bytes(v)),
                Moment::Bf16(v) => (Stored::BF16, v.iter().flat_map(|v| v.to_le_bytes()).collect()),
            };
            parts.push((format!("{which}/{name}"), dtype, vec![moment.len()], bytes));
        }
    }
    parts.extend(others);
    let broken = |e: safetensors::SafeTensorError| TrainError::Checkpoint { path: path.clone(), problem: e.to_string() };
    let views = parts.iter().map(|(n, d, s, b)| Ok((n, TensorView::new(*d, s.clone(), b)?)));
    let views: Vec<_> = views.collect::<Result<_, _>>().map_err(broken)?;
    safetensors::serialize_to_file(views, None, &path).map_err(broken)
}

/// Moments by parameter name, and the reference log-probabilities where a checkpoint has them.
type Optimiser<E> = (BTreeMap<String, Moments<E>>, Option<ReferenceLogps>);

pub(crate) fn read_moments<E: Scalar>(folder: &Path) -> Result<Optimiser<E>, TrainError> {
    let path = folder.join(MOMENTS);
    let raw = fs::read(&path).map_err(TrainError::io(&path))?;
    let broken = |problem: String| TrainError::Checkpoint { path: path.clone(), problem };
    let file =
        SafeTensors::deserialize(&raw).map_err(|e| broken(format!("truncated or damaged ({e}); start the run again")))?;
    let mut moments = BTreeMap::<String, Moments<E>>::new();
    let reference = from_tensors(&file).map_err(|e| broken(format!("{e}; start the run again")))?;
    for (name, view) in file.iter() {
        if name.starts_with("ref_logps") {
            continue;
        }
        if let Some(name) = name.strip_prefix("first/") {
            moments.entry(name.to_owned()).or_default().first = moment(&view);
        } else if let Some(name) = name.strip_prefix("second/") {
            moments.entry(name.to_owned()).or_default().second = moment(&view);
        } else {
            return Err(broken(format!("holds `{name}`, which no optimiser of this project writes")));
        }
    }
    Ok((moments, reference))
}

fn moment<E: Scalar>(view: &TensorView) -> Moment<E> {
    match view.dtype() {
        Stored::BF16 => Moment::Bf16(view.data().as_chunks::<2>().0.iter().map(|b| u16::from_le_bytes(*b)).collect()),
        _ => Moment::Full(numbers(view)),
    }
}

fn numbers<E: Scalar>(view: &TensorView) -> Vec<E> {
    match view.dtype() {
        Stored::F64 => view.data().as_chunks::<8>().0.iter().map(|b| E::c(f64::from_le_bytes(*b))).collect(),
        _ => view.data().as_chunks::<4>().0.iter().map(|b| E::c(f32::from_le_bytes(*b).into())).collect(),
    }
}
