//! Stopping and going on: weights, moments and the number of steps in one file.
use super::{TrainConfig, Training};
use crate::denoiser::{Denoiser, DenoiserError, Tensors, fill, metadata, numbers, parse, write_whole};
use dfdx::prelude::*;
use safetensors::SafeTensors;
use std::collections::HashMap;
use std::path::Path;
use tropism_ops::{Moment, Moments, Scalar};

/// Keys of a checkpoint's metadata.
const STEPS: &str = "steps";
const CONFIG: &str = "training";
const TYPE: &str = "type";
const TRAINED: &str = "trained";
/// Prefixes of its tensors.
const MODEL: &str = "model.";
const FIRST: &str = "first.";
const SECOND: &str = "second.";

impl<M: Denoiser<E>, E: Scalar> Training<M, E>
where
    Cpu: Device<E>,
{
    /// Writes a checkpoint; the file appears whole.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), DenoiserError> {
        let mut all = Tensors::of(&self.model)?;
        all.0.iter_mut().for_each(|(name, ..)| *name = format!("{MODEL}{name}"));
        for (name, moments) in &self.optimizer.moments {
            for (prefix, moment) in [(FIRST, &moments.first), (SECOND, &moments.second)] {
                let Moment::Full(values) = moment else {
                    return Err(DenoiserError::Config(format!("the moments of `{name}` are rounded")));
                };
                all.0.push((format!("{prefix}{name}"), vec![values.len()], values.clone()));
            }
        }
        let entry = |key: &str, value: String| (key.to_owned(), value);
        let about = HashMap::from([
            entry(STEPS, self.done.to_string()),
            entry(CONFIG, text(&self.config, path)?),
            entry(TYPE, std::any::type_name::<E>().to_owned()),
            entry(TRAINED, text(&trained(&self.model), path)?),
        ]);
        write_whole(path, &all.bytes(about, path)?)
    }

    /// Goes on from a checkpoint; `model` says kind and sizes, and what is trained, its numbers are overwritten. The steps that follow
    /// are those of a training that was never stopped, to the bit.
    ///
    /// # Errors
    /// A missing or damaged file; a checkpoint of another network, of other options or of another float type.
    pub fn restore(model: M, config: TrainConfig, path: &Path) -> Result<Self, DenoiserError> {
        let bytes = std::fs::read(path).map_err(DenoiserError::io(path))?;
        let same = |key: &str, what: &str, now: String| {
            let was = metadata(&bytes, key, path)?;
            let problem = format!("it was made with other {what}: {was}, now {now}");
            if was == now { Ok(()) } else { Err(DenoiserError::file(path, problem)) }
        };
        same(TYPE, "floats", std::any::type_name::<E>().to_owned())?;
        same(CONFIG, "options", text(&config, path)?)?;
        same(TRAINED, "trained parameters", text(&trained(&model), path)?)?;
        let steps = metadata(&bytes, STEPS, path)?;
        let done = steps.parse().map_err(|_| DenoiserError::file(path, format!("`{steps}` is no number of steps")))?;
        let tensors = parse(&bytes, path)?;
        let mut training = Training::new(model, config)?;
        fill(&mut training.model, &tensors, MODEL, path)?;
        (training.done, training.optimizer.steps) = (done, done);
        if done > 0 {
            for (name, size) in sizes(&training.model) {
                let moments = moments(&tensors, &name, size, path)?;
                training.optimizer.moments.insert(name, moments);
            }
        }
        Ok(training)
    }
}

fn text(value: &impl serde::Serialize, path: &Path) -> Result<String, DenoiserError> {
    serde_json::to_string(value).map_err(|e| DenoiserError::file(path, e.to_string()))
}

/// Names of what is trained.
fn trained<E: Scalar>(model: &impl Denoiser<E>) -> Vec<String>
where
    Cpu: Device<E>,
{
    model.stored().into_iter().filter(|(_, p)| p.trained()).map(|(name, _)| name).collect()
}

/// Names and sizes of what is trained.
fn sizes<E: Scalar>(model: &impl Denoiser<E>) -> Vec<(String, usize)>
where
    Cpu: Device<E>,
{
    model.stored().into_iter().filter(|(_, p)| p.trained()).map(|(name, p)| (name, p.len())).collect()
}

/// The moments of one parameter.
fn moments<E: Scalar>(tensors: &SafeTensors, name: &str, size: usize, path: &Path) -> Result<Moments<E>, DenoiserError> {
    let read = |prefix: &str| {
        let name = format!("{prefix}{name}");
        let view = tensors.tensor(&name).map_err(|_| DenoiserError::file(path, format!("tensor `{name}` is missing")))?;
        let values = numbers(&view, &name, path)?;
        let problem = format!("tensor `{name}` has {} numbers, the parameter {size}", values.len());
        if values.len() == size { Ok(Moment::Full(values)) } else { Err(DenoiserError::file(path, problem)) }
    };
    Ok(Moments { first: read(FIRST)?, second: read(SECOND)? })
}
