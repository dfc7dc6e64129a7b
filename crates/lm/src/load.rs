//! Weights from safetensors, one file or several.
use crate::architecture::{HEAD, Names};
use crate::config::Config;
use crate::decoder::Decoder;
use crate::dims::Dims;
use crate::error::LmError;
use dfdx::prelude::*;
use half::{bf16, f16};
use safetensors::tensor::TensorView;
use safetensors::{Dtype as Stored, SafeTensors};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use tropism_ops::{Scalar, VisitMut, data_mut};

/// Loads `config.json` and all weights of a Hugging Face folder; `dims` picks the sizes' types, for instance
/// `|c| Ok(Loaded::new(c))`.
///
/// # Errors
/// Missing, truncated or damaged files, missing, unknown or misshapen tensors, values that are no numbers: named by file
/// and tensor.
pub fn load<M: Dims, E: Scalar>(
    folder: &Path,
    dims: impl FnOnce(Config) -> Result<M, LmError>,
) -> Result<Decoder<M, E>, LmError>
where
    Cpu: Device<E>,
{
    load_with(folder, dims, &[], |_, _| Ok(()))
}

/// [`load`], where some tensors may be there or not: `also` is shown each file with its bytes, to read them. An output
/// projection among them that is not there is left off.
pub(crate) fn load_with<M: Dims, E: Scalar>(
    folder: &Path,
    dims: impl FnOnce(Config) -> Result<M, LmError>,
    optional: &[&str],
    mut also: impl FnMut(&Path, &[u8]) -> Result<(), LmError>,
) -> Result<Decoder<M, E>, LmError>
where
    Cpu: Device<E>,
{
    let mut model = Decoder::zeros(dims(Config::read(folder)?)?)?;
    let (mut missing, embed) = (names(&model)?, format!("{}.weight", model.names.parts().embed));
    let mut bare = false;
    for file in files(folder)? {
        let bytes = read(&file)?;
        let (found, stored) = fill_model(&mut model, &file, &bytes, optional)?;
        missing.retain(|name| !found.contains(name));
        bare |= stored.contains(&embed);
        also(&file, &bytes)?;
    }
    model.names.bare = bare;
    if optional.contains(&HEAD) && missing.remove(HEAD) {
        model.head = None;
    }
    match missing.first() {
        None => Ok(model),
        Some(name) => {
            let problem = format!("is in none of its files ({} missing in all)", missing.len());
            Err(LmError::Tensor { path: folder.into(), name: name.clone(), problem })
        }
    }
}

/// Overwrites the parameters that `file` holds and returns their names; the others stay as they are. Names may have the
/// architecture's prefix (`model.`, `transformer.`) or not.
///
/// # Errors
/// A truncated or damaged file, a tensor that the model does not have, a wrong shape or type, a NaN.
pub fn read_tensors<M: Dims, E: Scalar>(model: &mut Decoder<M, E>, file: &Path) -> Result<BTreeSet<String>, LmError> {
    Ok(fill_model(model, file, &read(file)?, &[])?.0)
}

/// [`read_tensors`], and the names as they stand in the file; tensors that are `optional` and not the model's are skipped.
fn fill_model<M: Dims, E: Scalar>(
    model: &mut Decoder<M, E>,
    file: &Path,
    bytes: &[u8],
    optional: &[&str],
) -> Result<(BTreeSet<String>, BTreeSet<String>), LmError> {
    let names = model.names;
    let known: BTreeSet<String> = self::names(model)?.iter().map(|n| names.base(n).to_owned()).collect();
    let foreign = |name: &str| optional.contains(&name) && !known.contains(name);
    let ignored = |name: &str| names.buffer(name) || (name == HEAD && model.head.is_none()) || foreign(name);
    let key = |name: &str| (!ignored(name)).then(|| names.base(name).to_owned());
    let mut fill = Fill::new((file, bytes), names, "config.json", &known, key)?;
    model.visit_stored_mut(&mut fill)?;
    Ok((fill.found, fill.stored.into_values().collect()))
}

/// The bytes of a weight file.
pub(crate) fn read(file: &Path) -> Result<Vec<u8>, LmError> {
    std::fs::read(file).map_err(LmError::io(file))
}

/// The tensors of a weight file.
pub(crate) fn parse<'a>(path: &Path, bytes: &'a [u8]) -> Result<SafeTensors<'a>, LmError> {
    SafeTensors::deserialize(bytes).map_err(|e| {
        LmError::file(path, format!("truncated or damaged safetensors file ({e}, {} bytes); fetch it again", bytes.len()))
    })
}

/// Shape and numbers of one tensor of a weight file, if it is there.
pub(crate) type Stray<E> = Option<(Vec<usize>, Vec<E>)>;

/// Reads one tensor that is no part of the model.
pub(crate) fn stray<E: Scalar>(path: &Path, bytes: &[u8], name: &str) -> Result<Stray<E>, LmError> {
    let Ok(view) = parse(path, bytes)?.tensor(name) else { return Ok(None) };
    let mut numbers = vec![E::zero(); view.shape().iter().product()];
    let refuse = |problem| LmError::Tensor { path: path.into(), name: name.to_owned(), problem };
    convert(&view, &mut numbers).map_err(refuse)?;
    Ok(Some((view.shape().to_vec(), numbers)))
}

/// Copies stored tensors into those that it is shown.
pub(crate) struct Fill<'a> {
    path: &'a Path,
    tensors: SafeTensors<'a>,
    /// of the architecture whose names may have a prefix and whose weights may be stored turned
    names: Option<Names>,
    /// the file that says which shapes there are
    config: &'static str,
    /// name in the file by name without prefix
    stored: BTreeMap<String, String>,
    /// names that were filled
    pub(crate) found: BTreeSet<String>,
}

impl<'a> Fill<'a> {
    /// A file and its bytes. `key` turns a stored name into one of `known`, names without prefix; none for a tensor to skip.
    pub(crate) fn new(
        file: (&'a Path, &'a [u8]),
        names: Names,
        config: &'static str,
        known: &BTreeSet<String>,
        key: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, LmError> {
        Ok(Fill { names: Some(names), ..Self::plain(file, config, known, key)? })
    }

    /// [`Fill::new`] for tensors of no architecture: names without prefix, shapes as they are.
    pub(crate) fn plain(
        (path, bytes): (&'a Path, &'a [u8]),
        config: &'static str,
        known: &BTreeSet<String>,
        key: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, LmError> {
        let tensors = parse(path, bytes)?;
        let mut stored = BTreeMap::new();
        for name in tensors.names() {
            let Some(key) = key(name) else { continue };
            let refuse = |problem: String| Err(LmError::Tensor { path: path.into(), name: name.to_owned(), problem });
            if !known.contains(&key) {
                return refuse(format!("does not belong to this architecture; check {config}"));
            }
            if let Some(twin) = stored.insert(key, name.to_owned()) {
                return refuse(format!("stands in the file twice, also as `{twin}`"));
            }
        }
        Ok(Fill { path, tensors, names: None, config, stored, found: BTreeSet::new() })
    }
}

impl<E: Scalar> VisitMut<E> for Fill<'_> {
    type Error = LmError;
    fn tensor<S: Shape>(&mut self, name: &str, t: &mut Tensor<S, E, Cpu>) -> Result<(), LmError> {
        let turned = self.names.is_some_and(|n| n.transposed(name));
        let Some(stored) = self.stored.get(self.names.map_or(name, |n| n.base(name))) else { return Ok(()) };
        let refuse = |problem| LmError::Tensor { path: self.path.into(), name: stored.clone(), problem };
        let view = self.tensors.tensor(stored).map_err(|e| refuse(e.to_string()))?;
        let mut shape: Vec<usize> = t.shape().concrete().into();
        if turned {
            shape.reverse();
        }
        if view.shape() != shape {
            return Err(refuse(format!("has shape {:?}, {} asks for {shape:?}", view.shape(), self.config)));
        }
        let to = data_mut(t);
        convert(&view, to).map_err(refuse)?;
        if turned {
            let turned = transposed(to, shape[0]);
            to.copy_from_slice(&turned);
        }
        self.found.insert(name.to_owned());
        Ok(())
    }
}

/// A matrix of `rows` rows, row-major, with rows and columns swapped.
pub(crate) fn transposed<E: Copy>(x: &[E], rows: usize) -> Vec<E> {
    let columns = x.len() / rows.max(1);
    (0..columns).flat_map(|c| (0..rows).map(move |r| x[r * columns + c])).collect()
}

/// Stored numbers to the model's type; all of them have to be finite.
fn convert<E: Scalar>(view: &TensorView, to: &mut [E]) -> Result<(), String> {
    fn each<const N: usize, E: Scalar>(bytes: &[u8], to: &mut [E], f: impl Fn([u8; N]) -> f64) {
        for (x, b) in to.iter_mut().zip(bytes.as_chunks::<N>().0) {
            *x = E::c(f(*b));
        }
    }
    let bytes = view.data();
    match view.dtype() {
        Stored::F64 => each(bytes, to, f64::from_le_bytes),
        Stored::F32 => each(bytes, to, |b| f32::from_le_bytes(b).into()),
        Stored::F16 => each(bytes, to, |b| f16::from_le_bytes(b).into()),
        Stored::BF16 => each(bytes, to, |b| bf16::from_le_bytes(b).into()),
        other => return Err(format!("is stored as {other:?}; supported are F64, F32, F16 and BF16")),
    }
    match to.iter().position(|v| !v.is_finite()) {
        Some(i) => Err(format!("holds {} at element {i}; the checkpoint is damaged", to[i].f())),
        None => Ok(()),
    }
}

/// A visitor that keeps the names.
#[derive(Default)]
pub(crate) struct NameSet(pub(crate) BTreeSet<String>);
impl<E: Scalar> tropism_ops::Visit<E> for NameSet {
    type Error = LmError;
    fn tensor<S: Shape>(&mut self, name: &str, _: &Tensor<S, E, Cpu>) -> Result<(), LmError> {
        self.0.insert(name.to_owned());
        Ok(())
    }
}

/// Names of all tensors of the checkpoint.
fn names<M: Dims, E: Scalar>(model: &Decoder<M, E>) -> Result<BTreeSet<String>, LmError> {
    let mut names = NameSet::default();
    model.visit_stored(&mut names)?;
    Ok(names.0)
}

/// The weight files of a folder: the one, or those that the index names.
fn files(folder: &Path) -> Result<Vec<PathBuf>, LmError> {
    let (single, index) = (folder.join("model.safetensors"), folder.join("model.safetensors.index.json"));
    if single.exists() || !index.exists() {
        return Ok(vec![single]);
    }
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: std::collections::BTreeMap<String, String>,
    }
    let text = std::fs::read_to_string(&index).map_err(LmError::io(&index))?;
    let map: Index = serde_json::from_str(&text).map_err(|e| LmError::file(&index, format!("not a weight index: {e}")))?;
    let files: BTreeSet<String> = map.weight_map.into_values().collect();
    if let Some(outside) = files.iter().find(|f| Path::new(f).components().count() != 1) {
        return Err(LmError::file(&index, format!("names the file `{outside}`, which is not in the folder itself")));
    }
    Ok(files.into_iter().map(|f| folder.join(f)).collect())
}
