//! Micro-batches that fit into a given memory.
use super::prepare::Model;
use crate::config::Experiment;
use crate::error::XtaskError;
use tropism_trainer::{AnyStage, Precision};

/// Program, tokenizer, rows and what allocators keep.
const BASE: u64 = 300 << 20;

/// Numbers that are kept besides activations while a stage of a model of `stored` weights trains `trained` of them (or of an
/// adapter) and is saved.
///
/// In training: the weights at the start of the run and of the reference, which the policy shares but for what it trains,
/// with that part's gradients and two moments. At the end, when those are gone: the start, the reference, the result (an
/// adapter merged) and its copy on the way to a file.
fn fixed(stored: usize, trained: usize, optimizer_state: Precision) -> usize {
    let moments = if optimizer_state == Precision::Bf16 { 1 } else { 2 };
    (2 * stored + (2 + moments) * trained).max(4 * stored + trained)
}

/// `8GiB`, `6000MiB`, `6GB`, … in bytes.
fn bytes(text: &str) -> Option<u64> {
    let split = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = (text[..split].trim().parse::<f64>().ok()?, text[split..].trim());
    let unit = match unit.to_ascii_lowercase().as_str() {
        "gib" | "g" => 1u64 << 30,
        "mib" | "m" => 1 << 20,
        "gb" => 1_000_000_000,
        "mb" => 1_000_000,
        _ => return None,
    };
    (number > 0.0 && number.is_finite()).then_some((number * unit as f64) as u64)
}

/// Makes the micro-batches of all stages small enough for `memory_limit`; `longest` is the longest packed row, `prompt` the
/// longest prompt that is sampled from, whose group stays whole.
pub(super) fn fit(config: &mut Experiment, model: &Model, longest: usize, prompt: usize) -> Result<(), XtaskError> {
    let Some(text) = &config.memory_limit else { return Ok(()) };
    let refuse = |problem: String, help: &str| XtaskError::config("memory_limit", problem, help);
    let limit = bytes(text).ok_or_else(|| refuse(format!("`{text}` is no size"), "write it as 8GiB or 6000MiB"))?;
    for stage in &mut config.stages {
        let trained = stage.adapt(model.clone(), 0)?.parameters();
        let fixed = fixed(model.parameters(), trained, stage.optimizer_state());
        let footprint = model.config().footprint(fixed, stage.gradient_checkpointing());
        let longest = match (&*stage, stage.sampling()) {
            (AnyStage::PolicyGradient(_), Some((rollout, _))) => prompt + rollout.group * rollout.max_new_tokens,
            // rows hold three completions at most, of which some may be the data's
            (_, Some((rollout, _))) => longest.max(prompt + 3 * rollout.max_new_tokens),
            (_, None) => longest,
        };
        let most = footprint.tokens(limit.saturating_sub(BASE), 1, size_of::<f32>()).unwrap_or(0);
        if most < longest {
            let needed = BASE + 4 * (footprint.weights + longest * footprint.per_token) as u64;
            let problem = format!(
                "{text} is not enough for stage `{}`: its longest row of {longest} tokens needs {} MiB",
                stage.name(),
                needed.div_ceil(1 << 20)
            );
            return Err(refuse(problem, "allow more, cut rows by data.max_length, or set gradient_checkpointing = true"));
        }
        let tokens = stage.micro_batch_tokens_mut();
        *tokens = most.min(*tokens);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{bytes, fixed};
    use tropism_trainer::Precision;

    #[test]
    fn untrained_weights_have_neither_gradients_nor_moments() {
        assert_eq!(fixed(100, 100, Precision::F32), 600);
        assert_eq!(fixed(100, 100, Precision::Bf16), 500);
        // an adapter, or a few tensors: the end of the stage is the widest place
        assert_eq!(fixed(100, 1, Precision::F32), 401);
    }

    #[test]
    fn sizes_as_people_write_them() {
        assert_eq!(bytes("8GiB"), Some(8 << 30));
        assert_eq!(bytes("1.5 gib"), Some(3 << 29));
        assert_eq!(bytes("6000MiB"), Some(6000 << 20));
        assert_eq!(bytes("2GB"), Some(2_000_000_000));
        for wrong in ["", "8", "GiB", "-1GiB", "0MiB", "8KiB", "nanGiB", "infGiB"] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
    }
}
