//! Model folders: every one with a `forward.json`, in f32, in f64, and in f32 with products of bf16 numbers.
use super::bounds::Bounds;
use super::{Tally, forward, preference, read};
use crate::error::XtaskError;
use dfdx::prelude::{Cpu, Device};
use serde_json::Value;
use std::path::{Path, PathBuf};
use tropism_lm::{Architecture, Decoder, Loaded, load};
use tropism_ops::{Precision, Scalar};

pub(super) fn check(folder: &Path, tally: &mut Tally) -> Result<(), XtaskError> {
    let entries = std::fs::read_dir(folder).map_err(XtaskError::io(folder))?;
    let mut models: Vec<PathBuf> =
        entries.filter_map(|e| Some(e.ok()?.path())).filter(|p| p.join("forward.json").exists()).collect();
    models.sort();
    if models.is_empty() {
        return Err(super::broken(folder, "holds no folder with a forward.json"));
    }
    if !Precision::has_bf16() {
        println!("bf16: this processor multiplies no bf16 numbers; products are made as in f32, and checked as those");
    }
    for model in models {
        let config = read(&model.join("config.json"))?;
        let figures = read(&model.join("forward.json"))?;
        let known = |a: &Architecture| config["model_type"] == a.name();
        if Architecture::ALL.iter().any(known) {
            numbers_as::<f32>(&model, &figures, ("f32", Precision::Full), tally)?;
            numbers_as::<f64>(&model, &figures, ("f64", Precision::Full), tally)?;
            numbers_as::<f32>(&model, &figures, ("bf16", Precision::Bf16), tally)?;
        } else {
            tally.not_implemented += forward::CHECKS.len() + preference::CHECKS.len();
        }
    }
    Ok(())
}

fn numbers_as<E: Scalar>(
    folder: &Path,
    figures: &Value,
    (dtype, precision): (&str, Precision),
    tally: &mut Tally,
) -> Result<(), XtaskError>
where
    Cpu: Device<E>,
{
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let id = move |check: &str| format!("{name}/{dtype}/{check}");
    let mut reference = load::<Loaded, E>(folder, |c| Ok(Loaded::new(c)))?;
    reference.precision = precision;
    let mut policy = reference.clone();
    tropism_lm::read_tensors(&mut policy, &folder.join("policy.safetensors"))?;
    compare(&policy, &reference, figures, &id, tally)
}

/// All figures of a model, and of a policy that started from it.
fn compare<E: Scalar>(
    policy: &Decoder<Loaded, E>,
    reference: &Decoder<Loaded, E>,
    figures: &Value,
    id: &impl Fn(&str) -> String,
    tally: &mut Tally,
) -> Result<(), XtaskError>
where
    Cpu: Device<E>,
{
    let bounds = match reference.precision {
        Precision::Bf16 => Bounds::bf16(reference.config().sizes.layers, &numbers(&figures["logits"])),
        _ => Bounds::Full,
    };
    forward::check(reference, figures, &bounds, id, tally)?;
    preference::check(policy, reference, figures, &bounds, id, tally)
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use dfdx::prelude::{Shape, Tensor};
    use std::convert::Infallible;
    use tropism_ops::{Params, VisitMut, data_mut};

    /// Rounds all weights to so many bits.
    struct Coarser(u32);
    impl VisitMut<f32> for Coarser {
        type Error = Infallible;
        fn tensor<S: Shape>(&mut self, _: &str, t: &mut Tensor<S, f32, Cpu>) -> Result<(), Infallible> {
            let lost = 24 - self.0;
            let round = |v: f32| f32::from_bits((v.to_bits() + (1 << (lost - 1))) >> lost << lost);
            data_mut(t).iter_mut().for_each(|v| *v = round(*v));
            Ok(())
        }
    }

    /// Names of the models whose logits or log-probabilities fail in bf16 when their weights have so many bits.
    fn fail_with(bits: u32) -> Vec<String> {
        let folder = super::super::own("models");
        let mut failed = vec![];
        for name in ["llama_tied", "llama_untied", "qwen2", "qwen3", "gemma", "gemma2", "gpt2"] {
            let (folder, mut tally) = (folder.join(name), Tally::default());
            let mut reference = load::<Loaded, f32>(&folder, |c| Ok(Loaded::new(c))).unwrap();
            reference.precision = Precision::Bf16;
            let Ok(()) = reference.visit_mut(&mut Coarser(bits));
            let figures = read(&folder.join("forward.json")).unwrap();
            let bounds = Bounds::bf16(reference.config().sizes.layers, &numbers(&figures["logits"]));
            forward::check(&reference, &figures, &bounds, &|check| format!("{name}/{check}"), &mut tally).unwrap();
            if tally.failed > 0 {
                failed.push(name.to_owned());
            }
        }
        failed
    }

    #[test]
    fn bounds_of_bf16_let_no_coarser_numbers_pass() {
        if !Precision::has_bf16() {
            println!("skipped: this processor has no bf16 products");
            return;
        }
        // all products round weights to 8 bits anyway
        assert_eq!(fail_with(8), [""; 0]);
        assert!(!fail_with(7).is_empty());
        assert_eq!(fail_with(6).len(), 7);
    }
}
