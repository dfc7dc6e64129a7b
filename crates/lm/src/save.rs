//! Weights to safetensors.
use crate::architecture::Names;
use crate::config::Config;
use crate::decoder::Decoder;
use crate::dims::Dims;
use crate::error::LmError;
use crate::load::transposed;
use dfdx::prelude::*;
use half::{bf16, f16};
use safetensors::Dtype as Stored;
use safetensors::tensor::View;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;
use tropism_ops::{Scalar, Visit, data};

/// How weights are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WeightDtype {
    /// 64-bit floats: exact checkpoints of f64 runs
    F64,
    /// 32-bit floats
    #[default]
    F32,
    /// 16-bit floats, 5 bits of exponent
    F16,
    /// 16-bit floats, 8 bits of exponent
    Bf16,
}

impl WeightDtype {
    fn name(self) -> &'static str {
        match self {
            WeightDtype::F64 => "float64",
            WeightDtype::F32 => "float32",
            WeightDtype::F16 => "float16",
            WeightDtype::Bf16 => "bfloat16",
        }
    }
}

/// One parameter on its way into a file.
struct Part<'a, E> {
    shape: Vec<usize>,
    values: &'a [E],
    dtype: WeightDtype,
}

impl<E: Scalar> View for Part<'_, E> {
    fn dtype(&self) -> Stored {
        match self.dtype {
            WeightDtype::F64 => Stored::F64,
            WeightDtype::F32 => Stored::F32,
            WeightDtype::F16 => Stored::F16,
            WeightDtype::Bf16 => Stored::BF16,
        }
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        let v = self.values.iter().map(|v| v.f());
        Cow::Owned(match self.dtype {
            WeightDtype::F64 => v.flat_map(|v| v.to_le_bytes()).collect(),
            WeightDtype::F32 => v.flat_map(|v| (v as f32).to_le_bytes()).collect(),
            WeightDtype::F16 => v.flat_map(|v| f16::from_f64(v).to_le_bytes()).collect(),
            WeightDtype::Bf16 => v.flat_map(|v| bf16::from_f64(v).to_le_bytes()).collect(),
        })
    }
    fn data_len(&self) -> usize {
        let bytes = match self.dtype {
            WeightDtype::F64 => 8,
            WeightDtype::F32 => 4,
            WeightDtype::F16 | WeightDtype::Bf16 => 2,
        };
        self.values.len() * bytes
    }
}

impl<M: Dims, E: Scalar> Decoder<M, E>
where
    Cpu: Device<E>,
{
    /// Writes `config.json` and `model.safetensors` into an existing folder. Take a [`FolderWriter`](crate::FolderWriter)
    /// to have the folder appear whole.
    ///
    /// # Errors
    /// When a file cannot be written; rounded weights, an adapter that is not merged; when a weight leaves the range of `dtype`, which is named.
    pub fn save(&self, folder: &Path, dtype: WeightDtype) -> Result<(), LmError> {
        self.can_save()?;
        self.unembedding()?;
        write(folder, dtype, self.config(), &self.collected()?)
    }

    /// Refuses what has no tensors to write.
    pub(crate) fn can_save(&self) -> Result<(), LmError> {
        if self.embed.dense().is_none() {
            let problem = "frozen weights are rounded and cannot be saved; save the model that they were made from";
            return Err(LmError::Invalid(problem.into()));
        }
        if self.adapter.is_some() && !self.is_merged() {
            let problem = "the model has an adapter; merge it before saving, or save the adapter by itself";
            return Err(LmError::Invalid(problem.into()));
        }
        Ok(())
    }

    /// The checkpoint's tensors.
    pub(crate) fn collected(&self) -> Result<Collect<E>, LmError> {
        let mut tensors = Collect::new(self.names);
        self.visit_stored(&mut tensors)?;
        Ok(tensors)
    }
}

/// Writes `config.json` and `model.safetensors`.
pub(crate) fn write<E: Scalar>(
    folder: &Path,
    dtype: WeightDtype,
    config: &Config,
    tensors: &Collect<E>,
) -> Result<(), LmError> {
    let path = folder.join("config.json");
    std::fs::write(&path, config.to_json(dtype.name())).map_err(LmError::io(&path))?;
    tensors.write(&folder.join("model.safetensors"), dtype)
}

/// Tensors on their way into one file: a visitor lends each for one call only, safetensors wants all of them at once.
pub(crate) struct Collect<E> {
    /// of the architecture whose weights may be stored turned
    names: Option<Names>,
    pub(crate) tensors: Vec<(String, Vec<usize>, Vec<E>)>,
}

impl<E: Scalar> Collect<E> {
    /// Tensors of an architecture, stored as its checkpoints do.
    pub(crate) fn new(names: Names) -> Self {
        Collect { names: Some(names), tensors: vec![] }
    }

    /// Tensors that are stored as they are.
    pub(crate) fn plain() -> Self {
        Collect { names: None, tensors: vec![] }
    }

    /// Writes the file.
    pub(crate) fn write(&self, path: &Path, dtype: WeightDtype) -> Result<(), LmError> {
        let mut parts = vec![];
        for (name, shape, values) in &self.tensors {
            in_range(name, values, dtype, path)?;
            parts.push((name.clone(), Part { shape: shape.clone(), values, dtype }));
        }
        let meta = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        safetensors::serialize_to_file(parts, Some(meta), path).map_err(|e| LmError::file(path, e.to_string()))
    }
}

impl<E: Scalar> Visit<E> for Collect<E> {
    type Error = LmError;
    fn tensor<S: Shape>(&mut self, name: &str, t: &Tensor<S, E, Cpu>) -> Result<(), LmError> {
        let (mut shape, mut values) = (t.shape().concrete().into(), data(t).to_vec());
        if self.names.is_some_and(|n| n.transposed(name)) {
            values = transposed(&values, shape[0]);
            shape.reverse();
        }
        self.tensors.push((name.to_owned(), shape, values));
        Ok(())
    }
}

/// Half floats end at 65,504: a weight beyond would be written as an infinity.
fn in_range<E: Scalar>(name: &str, values: &[E], dtype: WeightDtype, path: &Path) -> Result<(), LmError> {
    let fits = |v: &E| v.is_finite() && (dtype != WeightDtype::F16 || f16::from_f64(v.f()).is_finite());
    match values.iter().position(|v| !fits(v)) {
        None => Ok(()),
        Some(i) => {
            let problem = format!("holds {} at element {i}, which {} cannot store", values[i].f(), dtype.name());
            Err(LmError::Tensor { path: path.into(), name: name.to_owned(), problem })
        }
    }
}
