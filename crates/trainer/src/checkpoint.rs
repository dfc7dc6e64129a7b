//! Checkpoints: everything that a stage needs to go on as if it had never stopped.
use crate::error::TrainError;
use crate::reference::{ReferenceLogps, from_tensors, tensors};
use crate::rows::Rows;
use crate::run::StageRun;
use crate::stage::Stage;
use dfdx::prelude::*;
use safetensors::{Dtype as Stored, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use tropism_data::order::{Order, OrderState};
use tropism_lm::{Decoder, Dims, FolderWriter, Loaded, WeightDtype, load};
use tropism_ops::{Moment, Moments, Scalar};

/// The small part of a checkpoint, in `state.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saved {
    /// the stage and its options: a checkpoint goes on only under the same
    pub stage: Stage,
    /// steps made
    pub step: usize,
    /// tokens computed
    pub tokens: usize,
    /// steps of the optimiser
    pub optimiser_steps: u64,
    /// where the order of the data stands
    pub order: OrderState,
    /// length of `metrics.jsonl` at this step
    pub metrics_bytes: u64,
}

const STATE: &str = "state.json";
const MOMENTS: &str = "optimiser.safetensors";
const ADAPTER: &str = "adapter";

impl Saved {
    /// Reads the state of a checkpoint; nothing when there is no checkpoint.
    ///
    /// # Errors
    /// A file that cannot be read as one.
    pub fn read(folder: &Path) -> Result<Option<Self>, TrainError> {
        let path = folder.join(STATE);
        if !path.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(&path).map_err(TrainError::io(&path))?;
        let broken = |e| TrainError::Checkpoint { path: path.clone(), problem: format!("not a checkpoint's state: {e}") };
        serde_json::from_str(&text).map(Some).map_err(broken)
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

impl<'a, M: Dims, E: Scalar> StageRun<'a, M, E>
where
    Cpu: Device<E>,
{
    /// Writes a checkpoint; the one before is replaced only when the new one is whole. `metrics_bytes` is the length of the
    /// metrics file so far.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self, folder: &Path, metrics_bytes: u64) -> Result<(), TrainError> {
        let writer = FolderWriter::new(folder)?;
        let dtype = if wide::<E>() { WeightDtype::F64 } else { WeightDtype::F32 };
        if self.policy.adapter().is_some() {
            let adapter = writer.path().join(ADAPTER);
            fs::create_dir_all(&adapter).map_err(TrainError::io(&adapter))?;
            self.policy.save_adapter(&adapter, "", dtype)?;
            self.policy.base()?.save(writer.path(), dtype)?;
        } else {
            self.policy.save(writer.path(), dtype)?;
        }
        self.save_moments(&writer.path().join(MOMENTS))?;
        let state = Saved {
            stage: self.stage.clone(),
            step: self.step,
            tokens: self.tokens,
            optimiser_steps: self.optimiser.steps,
            order: self.order.state(),
            metrics_bytes,
        };
        let path = writer.path().join(STATE);
        let text =
            serde_json::to_string_pretty(&state).map_err(|e| TrainError::Io { path: path.clone(), source: e.into() })?;
        fs::write(&path, text).map_err(TrainError::io(&path))?;
        Ok(writer.finish()?)
    }

    fn save_moments(&self, path: &Path) -> Result<(), TrainError> {
        let dtype = if wide::<E>() { Stored::F64 } else { Stored::F32 };
        let mut parts: Vec<(String, Stored, Vec<usize>, Vec<u8>)> = vec![];
        for (name, m) in &self.optimiser.moments {
            for (which, moment) in [("first", &m.first), ("second", &m.second)] {
                let (dtype, bytes) = match moment {
                    Moment::Full(v) => (dtype, bytes(v)),
                    Moment::Bf16(v) => (Stored::BF16, v.iter().flat_map(|v| v.to_le_bytes()).collect()),
                };
                parts.push((format!("{which}/{name}"), dtype, vec![moment.len()], bytes));
            }
        }
        if let Some(reference) = &self.reference {
            parts.extend(tensors(reference));
        }
        let broken = |e: safetensors::SafeTensorError| TrainError::Checkpoint { path: path.into(), problem: e.to_string() };
        let views = parts.iter().map(|(n, d, s, b)| Ok((n, TensorView::new(*d, s.clone(), b)?)));
        let views: Vec<_> = views.collect::<Result<_, _>>().map_err(broken)?;
        safetensors::serialize_to_file(views, None, path).map_err(broken)
    }
}

impl<'a, E: Scalar> StageRun<'a, Loaded, E>
where
    Cpu: Device<E>,
{
    /// Goes on from a checkpoint of the same stage over the same rows. Returns the length of the metrics file then.
    ///
    /// # Errors
    /// A checkpoint that is broken, of another stage or of other data.
    pub fn restore(stage: &'a Stage, rows: &'a Rows, folder: &Path) -> Result<(Self, u64), TrainError> {
        let refuse = |problem: String| TrainError::Checkpoint { path: folder.join(STATE), problem };
        let saved = Saved::read(folder)?.ok_or_else(|| refuse("is missing; start the run again".into()))?;
        if saved.stage != *stage {
            return Err(refuse(format!("was made with other options of stage `{}`; start the run again", saved.stage.name)));
        }
        if saved.order.rows != rows.len() {
            let problem =
                format!("was made on {} rows, there are {} now; start the run again", saved.order.rows, rows.len());
            return Err(refuse(problem));
        }
        let mut policy: Decoder<Loaded, E> = load(folder, |c| Ok(Loaded::new(c)))?;
        if stage.lora.is_some() {
            policy = policy.with_adapter_folder(&folder.join(ADAPTER))?;
        } else {
            policy = stage.with_frozen(policy)?;
        }
        let (moments, reference) = read_moments(&folder.join(MOMENTS))?;
        let mut run = Self::assemble(stage, rows, policy, reference, Order::restore(&saved.order)?);
        (run.step, run.tokens) = (saved.step, saved.tokens);
        (run.optimiser.steps, run.optimiser.moments) = (saved.optimiser_steps, moments);
        Ok((run, saved.metrics_bytes))
    }
}

/// Moments by parameter name, and the reference log-probabilities.
type Optimiser<E> = (BTreeMap<String, Moments<E>>, Option<ReferenceLogps>);

fn read_moments<E: Scalar>(path: &Path) -> Result<Optimiser<E>, TrainError> {
    let raw = fs::read(path).map_err(TrainError::io(path))?;
    let broken = |problem: String| TrainError::Checkpoint { path: path.into(), problem };
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
