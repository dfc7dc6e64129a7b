//! Log-probabilities under the reference: made once, kept on disk by content.
use crate::error::TrainError;
use crate::rows::Rows;
use crate::score::score_pairs;
use dfdx::prelude::*;
use safetensors::{Dtype as Stored, SafeTensors, tensor::TensorView};
use std::fs;
use std::path::Path;
use tropism_data::digest::Content;
use tropism_data::tokens::TokenPair;
use tropism_lm::{Decoder, Dims};
use tropism_ops::{Scalar, Visit, data};

/// Chosen and rejected log-probability of a row, in nats.
pub type ReferenceLogps = Vec<[f64; 2]>;

const NAME: &str = "ref_logps";

/// Chosen and rejected log-probability of every pair under `model`.
///
/// With a `cache` folder they are read from it where they have been made before from the same weights, tokens and settings,
/// and written to it otherwise. A file's name is the digest of all that it depends on, so a stale one is never read. A frozen
/// model is scored anew every time.
///
/// # Errors
/// As [`score_pairs`]; a cached file that is damaged, or cannot be written.
pub fn reference_logps<M: Dims, E: Scalar>(
    model: &Decoder<M, E>,
    rows: &Rows,
    max_tokens: usize,
    cache: Option<&Path>,
) -> Result<ReferenceLogps, TrainError>
where
    Cpu: Device<E>,
{
    let Rows::Pairs(pairs) = rows else { return Ok(vec![]) };
    let score = || -> Result<ReferenceLogps, TrainError> {
        let scores = score_pairs(model, pairs, max_tokens)?;
        Ok(scores.iter().map(|s| [s.chosen.logps, s.rejected.logps]).collect())
    };
    // rounded weights are not in the digest
    let Some(folder) = cache.filter(|_| !model.is_frozen()) else { return score() };
    let path = folder.join(format!("{}.safetensors", digest(model, pairs, max_tokens)?));
    if path.exists() {
        return read(&path, pairs.len());
    }
    let logps = score()?;
    write(&path, &logps)?;
    Ok(logps)
}

/// Digest of the weights, the tokens, and what rounding depends on.
fn digest<M: Dims, E: Scalar>(model: &Decoder<M, E>, pairs: &[TokenPair], max_tokens: usize) -> Result<String, TrainError>
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
    let settings = (env!("CARGO_PKG_VERSION"), size_of::<E>(), model.precision, max_tokens);
    content.part(format!("{settings:?} {:?}", model.config()).as_bytes());
    let mut weights = Weights(content);
    model.visit_stored(&mut weights)?;
    model.visit_adapter(&mut weights)?;
    let mut content = weights.0;
    for p in pairs {
        for tokens in [&p.prompt, &p.chosen, &p.rejected].into_iter().chain(&p.rejected_prompt) {
            let bytes: Vec<u8> = tokens.iter().flat_map(|t| t.to_le_bytes()).collect();
            content.part(&bytes);
        }
    }
    Ok(content.hex())
}

fn read(path: &Path, rows: usize) -> Result<ReferenceLogps, TrainError> {
    let bytes = fs::read(path).map_err(TrainError::io(path))?;
    let broken = |problem: String| TrainError::Checkpoint { path: path.into(), problem };
    let damaged = |e| broken(format!("truncated or damaged ({e}); remove the file, it is made again"));
    let file = SafeTensors::deserialize(&bytes).map_err(damaged)?;
    let view = file.tensor(NAME).map_err(damaged)?;
    if view.dtype() != Stored::F64 || view.shape() != [rows, 2] {
        return Err(broken(format!("holds {:?}, expected {rows} rows of 2; remove the file", view.shape())));
    }
    let numbers: Vec<f64> = view.data().as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect();
    Ok(numbers.as_chunks::<2>().0.to_vec())
}

fn write(path: &Path, logps: &[[f64; 2]]) -> Result<(), TrainError> {
    let bytes: Vec<u8> = logps.as_flattened().iter().flat_map(|v| v.to_le_bytes()).collect();
    let broken = |e: safetensors::SafeTensorError| TrainError::Checkpoint { path: path.into(), problem: e.to_string() };
    let view = TensorView::new(Stored::F64, vec![logps.len(), 2], &bytes).map_err(broken)?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(TrainError::io(folder))?;
    }
    // runs side by side may write the same file: each under a name of its own, renamed when whole
    let part = path.with_extension(format!("{}.part", std::process::id()));
    safetensors::serialize_to_file([(NAME, view)], None, &part).map_err(broken)?;
    fs::rename(&part, path).map_err(TrainError::io(path))
}
