//! Denoisers in safetensors files.
use super::{Denoiser, DenoiserError, Network, NetworkConfig};
use dfdx::prelude::*;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype as Kind, TensorView, View};
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use tropism_ops::{Scalar, Visit, VisitMut, data, data_mut};

/// Key of the configuration in a file's metadata.
const CONFIG: &str = "denoiser";

/// Named tensors on their way into a file, in the type that they have: nothing is rounded.
pub(crate) struct Tensors<E>(pub(crate) Vec<(String, Vec<usize>, Vec<E>)>);

impl<E: Scalar> Tensors<E>
where
    Cpu: Device<E>,
{
    /// All parameters of a model.
    pub(crate) fn of(model: &impl Denoiser<E>) -> Result<Self, DenoiserError> {
        let mut all = Tensors(vec![]);
        model.stored().into_iter().try_for_each(|(name, p)| p.show(&name, &mut all))?;
        Ok(all)
    }

    /// The bytes of a safetensors file.
    pub(crate) fn bytes(&self, metadata: HashMap<String, String>, path: &Path) -> Result<Vec<u8>, DenoiserError> {
        let views = self.0.iter().map(|(name, shape, values)| (name.clone(), Part { shape, values }));
        safetensors::serialize(views, Some(metadata)).map_err(|e| DenoiserError::file(path, e.to_string()))
    }
}

impl<E: Scalar> Visit<E> for Tensors<E> {
    type Error = DenoiserError;
    fn tensor<S: Shape>(&mut self, name: &str, t: &Tensor<S, E, Cpu>) -> Result<(), DenoiserError> {
        self.0.push((name.to_owned(), t.shape().concrete().into(), data(t).to_vec()));
        Ok(())
    }
}

struct Part<'a, E> {
    shape: &'a [usize],
    values: &'a [E],
}

impl<E: Scalar> View for Part<'_, E> {
    fn dtype(&self) -> Kind {
        if size_of::<E>() == 8 { Kind::F64 } else { Kind::F32 }
    }
    fn shape(&self) -> &[usize] {
        self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        let values = self.values.iter().map(|v| v.f());
        Cow::Owned(match size_of::<E>() {
            8 => values.flat_map(f64::to_le_bytes).collect(),
            _ => values.flat_map(|v| (v as f32).to_le_bytes()).collect(),
        })
    }
    fn data_len(&self) -> usize {
        size_of_val(self.values)
    }
}

/// Writes a file under a temporary name and renames it.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), DenoiserError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part = path.with_file_name(name);
    std::fs::write(&part, bytes).map_err(DenoiserError::io(&part))?;
    std::fs::rename(&part, path).map_err(DenoiserError::io(path))
}

/// Numbers of a stored tensor, all of them finite.
pub(crate) fn numbers<E: Scalar>(view: &TensorView, name: &str, path: &Path) -> Result<Vec<E>, DenoiserError> {
    let refuse = |problem: String| Err(DenoiserError::file(path, format!("tensor `{name}` {problem}")));
    let values: Vec<E> = match view.dtype() {
        Kind::F64 => view.data().as_chunks::<8>().0.iter().map(|b| E::c(f64::from_le_bytes(*b))).collect(),
        Kind::F32 => view.data().as_chunks::<4>().0.iter().map(|b| E::c(f32::from_le_bytes(*b).into())).collect(),
        other => return refuse(format!("is stored as {other:?}; supported are F64 and F32")),
    };
    match values.iter().position(|v| !v.is_finite()) {
        Some(i) => refuse(format!("holds {} at element {i}; the file is damaged", values[i].f())),
        None => Ok(values),
    }
}

/// The tensors of a safetensors file.
pub(crate) fn parse<'a>(bytes: &'a [u8], path: &Path) -> Result<SafeTensors<'a>, DenoiserError> {
    let damaged =
        |e| DenoiserError::file(path, format!("truncated or damaged safetensors file ({e}, {} bytes)", bytes.len()));
    SafeTensors::deserialize(bytes).map_err(damaged)
}

/// An entry of a safetensors file's metadata.
pub(crate) fn metadata(bytes: &[u8], key: &str, path: &Path) -> Result<String, DenoiserError> {
    let damaged = |e: safetensors::SafeTensorError| DenoiserError::file(path, format!("not a safetensors file ({e})"));
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
    let found = header.metadata().as_ref().and_then(|m| m.get(key)).cloned();
    found.ok_or_else(|| DenoiserError::file(path, format!("its metadata has no `{key}`; it was not written by this crate")))
}

/// Fills all parameters of a model from `prefix` + name; tensors of other prefixes are left to others.
pub(crate) fn fill<E: Scalar>(
    model: &mut impl Denoiser<E>,
    tensors: &SafeTensors,
    prefix: &str,
    path: &Path,
) -> Result<(), DenoiserError>
where
    Cpu: Device<E>,
{
    let mut known = BTreeSet::new();
    for (name, mut p) in model.stored_mut() {
        p.show(&name, &mut Fill { tensors, prefix, path })?;
        known.insert(format!("{prefix}{name}"));
    }
    match tensors.names().into_iter().find(|n| n.starts_with(prefix) && !known.contains(*n)) {
        Some(name) => Err(DenoiserError::file(path, format!("tensor `{name}` does not belong to this denoiser"))),
        None => Ok(()),
    }
}

struct Fill<'a> {
    tensors: &'a SafeTensors<'a>,
    prefix: &'a str,
    path: &'a Path,
}

impl<E: Scalar> VisitMut<E> for Fill<'_> {
    type Error = DenoiserError;
    fn tensor<S: Shape>(&mut self, name: &str, t: &mut Tensor<S, E, Cpu>) -> Result<(), DenoiserError> {
        let name = format!("{}{name}", self.prefix);
        let missing = |_| DenoiserError::file(self.path, format!("tensor `{name}` is missing"));
        let view = self.tensors.tensor(&name).map_err(missing)?;
        let shape: Vec<usize> = t.shape().concrete().into();
        if view.shape() != shape {
            let problem = format!("tensor `{name}` has shape {:?}, the configuration asks for {shape:?}", view.shape());
            return Err(DenoiserError::file(self.path, problem));
        }
        data_mut(t).copy_from_slice(&numbers::<E>(&view, &name, self.path)?);
        Ok(())
    }
}

/// Writes a network with its configuration into one safetensors file, in its own type: nothing is rounded. The file appears whole.
///
/// # Errors
/// When it cannot be written.
pub fn save<E: Scalar>(model: &Network<E>, path: &Path) -> Result<(), DenoiserError>
where
    Cpu: Device<E>,
{
    let bytes = Tensors::of(model)?.bytes(HashMap::from([(CONFIG.to_owned(), config_text(model, path)?)]), path)?;
    write_whole(path, &bytes)
}

/// Reads a network that [`save`] wrote; numbers of another type are converted.
///
/// # Errors
/// A missing, truncated or damaged file, a tensor that is missing, misshapen or too many, a NaN: named by file and tensor.
pub fn load<E: Scalar>(path: &Path) -> Result<Network<E>, DenoiserError>
where
    Cpu: Device<E>,
{
    let bytes = std::fs::read(path).map_err(DenoiserError::io(path))?;
    let tensors = parse(&bytes, path)?;
    let mut model = described(&bytes, path)?;
    fill(&mut model, &tensors, "", path)?;
    Ok(model)
}

/// The configuration as a file's metadata holds it.
pub(crate) fn config_text<E: Scalar>(model: &Network<E>, path: &Path) -> Result<String, DenoiserError>
where
    Cpu: Device<E>,
{
    serde_json::to_string(&model.config()).map_err(|e| DenoiserError::file(path, e.to_string()))
}

/// A network of the kind and the sizes that a file's metadata name.
pub(crate) fn described<E: Scalar>(bytes: &[u8], path: &Path) -> Result<Network<E>, DenoiserError>
where
    Cpu: Device<E>,
{
    let config: NetworkConfig = serde_json::from_str(&metadata(bytes, CONFIG, path)?)
        .map_err(|e| DenoiserError::file(path, format!("its configuration cannot be read: {e}")))?;
    Network::new(&config, 0)
}
