//! Log-probabilities under the reference: made once, kept on disk by content.
use crate::constants::reads_baseline;
use crate::error::TrainError;
use crate::feed::Feed;
use crate::rows::Rows;
use crate::score::score_rows;
use dfdx::prelude::*;
use safetensors::{Dtype as Stored, SafeTensors, tensor::TensorView};
use std::fs;
use std::path::Path;
use tropism_data::digest::Content;
use tropism_lm::{Decoder, Dims};
use tropism_objectives::Objective;
use tropism_ops::{Scalar, Visit, data};

/// Log-probabilities of rows under a reference, in nats: of each completion the sum, or the tokens where the objective reads
/// tokens. Rows with a desirable or undesirable completion also have one of another prompt, for KTO's baseline.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReferenceLogps {
    /// by completion, row by row
    pub(crate) logps: Vec<Vec<f64>>,
    /// of the mismatched completions
    pub(crate) mismatched: Vec<f64>,
}

impl ReferenceLogps {
    /// Values that make any row which is learnt from an error that names it.
    pub(crate) fn unscored(rows: &Rows) -> Self {
        ReferenceLogps { logps: vec![vec![f64::NAN]; rows.len() * rows.sides()], mismatched: vec![] }
    }

    /// Number of completions.
    pub fn completions(&self) -> usize {
        self.logps.len()
    }
}

const NAME: &str = "ref_logps";

/// Log-probabilities of all rows under `model`, as the objective reads them.
///
/// With a `cache` folder they are read from it where they have been made before from the same weights, tokens and settings,
/// and written to it otherwise. A file's name is the digest of all that it depends on, so a stale one is never read. A frozen
/// model is scored anew every time.
///
/// # Errors
/// As [`score_pairs`](crate::score_pairs); a cached file that is damaged, or cannot be written.
pub fn reference_logps<M: Dims, E: Scalar>(
    model: &Decoder<M, E>,
    rows: &Rows,
    objective: &Objective,
    max_tokens: usize,
    cache: Option<&Path>,
) -> Result<ReferenceLogps, TrainError>
where
    Cpu: Device<E>,
{
    let feed = Feed::of(objective);
    let score = || -> Result<ReferenceLogps, TrainError> {
        let logps = score_rows(model, rows, feed, max_tokens)?;
        let other = if reads_baseline(objective) { rows.mismatched() } else { None };
        let other = other.map(|rows| score_rows(model, &rows, Feed::sums(&rows), max_tokens));
        let mismatched = other.transpose()?.unwrap_or_default().concat();
        Ok(ReferenceLogps { logps, mismatched })
    };
    // rounded weights are not in the digest
    let Some(folder) = cache.filter(|_| !model.is_frozen()) else { return score() };
    let path = folder.join(format!("{}.safetensors", digest(model, rows, objective, max_tokens)?));
    if path.exists() {
        return read(&path, rows, reads_baseline(objective));
    }
    let logps = score()?;
    write(&path, &logps)?;
    Ok(logps)
}

/// Digest of the weights, the tokens, and what rounding depends on.
fn digest<M: Dims, E: Scalar>(
    model: &Decoder<M, E>,
    rows: &Rows,
    objective: &Objective,
    max_tokens: usize,
) -> Result<String, TrainError>
where
    Cpu: Device<E>,
{
    struct Weights(Content);
    impl<E: Scalar> Visit<E> for Weights {
        type Error = TrainError;
        fn tensor<S: Shape>(&mut self, name: &str, t: &Tensor<S, E, Cpu>) -> Result<(), TrainError> {
            self.0.part(name.as_bytes());
            // in pieces: the bytes of an embedding are a second copy of it
            for piece in data(t).chunks(1 << 16) {
                let bytes: Vec<u8> = piece.iter().flat_map(|v| v.f().to_le_bytes()).collect();
                self.0.part(&bytes);
            }
            Ok(())
        }
    }
    let mut content = Content::default();
    let reads = (Feed::of(objective), rows.kind(), reads_baseline(objective));
    let settings = (env!("CARGO_PKG_VERSION"), size_of::<E>(), model.precision, max_tokens, reads);
    content.part(format!("{settings:?} {:?}", model.config()).as_bytes());
    let mut weights = Weights(content);
    model.visit_stored(&mut weights)?;
    model.visit_adapter(&mut weights)?;
    let mut content = weights.0;
    for row in 0..rows.len() {
        for tokens in rows.parts(row) {
            let bytes: Vec<u8> = tokens.iter().flat_map(|t| t.to_le_bytes()).collect();
            content.part(&bytes);
        }
        // of rows without any, the digest is as it always was
        let given = rows.given(row);
        if !given.is_empty() {
            content.part(format!("{given:?}").as_bytes());
        }
    }
    Ok(content.hex())
}

/// The tensors that hold them in a file: values, and how many belong to each completion.
pub(crate) fn tensors(reference: &ReferenceLogps) -> Vec<(String, Stored, Vec<usize>, Vec<u8>)> {
    let floats = |v: &mut dyn Iterator<Item = f64>| v.flat_map(f64::to_le_bytes).collect::<Vec<u8>>();
    let lengths: Vec<u8> = reference.logps.iter().flat_map(|l| (l.len() as u64).to_le_bytes()).collect();
    let part = |which: &str, dtype: Stored, bytes: Vec<u8>| {
        (if which.is_empty() { NAME.to_owned() } else { format!("{NAME}/{which}") }, dtype, vec![bytes.len() / 8], bytes)
    };
    vec![
        part("", Stored::F64, floats(&mut reference.logps.iter().flatten().copied())),
        part("lengths", Stored::U64, lengths),
        part("mismatched", Stored::F64, floats(&mut reference.mismatched.iter().copied())),
    ]
}

/// The reverse of [`tensors`]; nothing when the file has none.
pub(crate) fn from_tensors(file: &SafeTensors) -> Result<Option<ReferenceLogps>, String> {
    let Ok(values) = file.tensor(NAME) else { return Ok(None) };
    let part = |which: &str| file.tensor(&format!("{NAME}/{which}")).map_err(|e| e.to_string());
    let (lengths, mismatched) = (part("lengths")?, part("mismatched")?);
    let typed = [values.dtype(), lengths.dtype(), mismatched.dtype()] == [Stored::F64, Stored::U64, Stored::F64];
    let floats = |v: &TensorView| v.data().as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect::<Vec<_>>();
    let (values, mismatched) = (floats(&values), floats(&mismatched));
    let lengths: Vec<u64> = lengths.data().as_chunks::<8>().0.iter().map(|b| u64::from_le_bytes(*b)).collect();
    if !typed || lengths.iter().try_fold(0u64, |a, &n| a.checked_add(n)) != Some(values.len() as u64) {
        return Err("holds reference log-probabilities of another form".to_owned());
    }
    let mut rest = &values[..];
    let take = |n: &u64| {
        let (head, tail) = rest.split_at(*n as usize);
        rest = tail;
        head.to_vec()
    };
    Ok(Some(ReferenceLogps { logps: lengths.iter().map(take).collect(), mismatched }))
}

fn read(path: &Path, rows: &Rows, baseline: bool) -> Result<ReferenceLogps, TrainError> {
    let bytes = fs::read(path).map_err(TrainError::io(path))?;
    let broken = |problem: String| TrainError::Checkpoint { path: path.into(), problem };
    let damaged = |e: String| broken(format!("truncated or damaged ({e}); remove the file, it is made again"));
    let file = SafeTensors::deserialize(&bytes).map_err(|e| damaged(e.to_string()))?;
    let found = from_tensors(&file).map_err(damaged)?.ok_or_else(|| damaged(format!("no `{NAME}`")))?;
    let expected = (rows.len() * rows.sides(), if baseline { rows.len() } else { 0 });
    if (found.completions(), found.mismatched.len()) != expected {
        let (n, m) = (found.completions(), expected.0);
        return Err(broken(format!("holds {n} completions, expected {m}; remove the file, it is made again")));
    }
    Ok(found)
}

fn write(path: &Path, logps: &ReferenceLogps) -> Result<(), TrainError> {
    let parts = tensors(logps);
    let broken = |e: safetensors::SafeTensorError| TrainError::Checkpoint { path: path.into(), problem: e.to_string() };
    let views = parts.iter().map(|(n, d, s, b)| Ok((n, TensorView::new(*d, s.clone(), b)?)));
    let views: Vec<_> = views.collect::<Result<_, _>>().map_err(broken)?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(TrainError::io(folder))?;
    }
    // runs side by side may write the same file: each under a name of its own, renamed when whole
    let part = path.with_extension(format!("{}.part", std::process::id()));
    safetensors::serialize_to_file(views, None, &part).map_err(broken)?;
    fs::rename(&part, path).map_err(TrainError::io(path))
}
