//! Micro-batches that fit into a given memory.
use super::held::{Held, held, most as most_of};
use super::prepare::Model;
use crate::config::Experiment;
use crate::error::XtaskError;
use tropism_trainer::AnyStage;

/// Program, tokenizer, rows and what allocators keep.
const BASE: u64 = 300 << 20;

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
    let all: Vec<Vec<Held>> = config.stages.iter().map(|s| held(config, s, model)).collect::<Result<_, _>>()?;
    for (stage, all) in config.stages.iter_mut().zip(all) {
        let footprint = model.config().footprint(most_of(&all), stage.gradient_checkpointing());
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
                "{text} is not enough for stage `{}`: its longest row of {longest} tokens needs {} MiB, with {}",
                stage.name(),
                mib(needed),
                listed(&all)
            );
            return Err(refuse(problem, "allow more, cut rows by data.max_length, or set gradient_checkpointing = true"));
        }
        let tokens = stage.micro_batch_tokens_mut();
        *tokens = most.min(*tokens);
    }
    Ok(())
}

fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

/// The models that count, by what they take where the stage takes most.
fn listed(all: &[Held]) -> String {
    let training = all.iter().map(|h| h.training).sum::<usize>() == most_of(all);
    let of = |h: &Held| if training { h.training } else { h.end };
    let one = |h: &Held| format!("{} {} MiB", h.what, mib(4 * of(h) as u64));
    let listed: Vec<String> = all.iter().filter(|h| of(h) > 0).map(one).collect();
    format!("{} ({})", listed.join(", "), if training { "while it trains" } else { "while its result is saved" })
}

#[cfg(test)]
mod tests {
    use super::{Held, bytes, listed};

    #[test]
    fn the_models_that_count_are_named() {
        let held = |what: &str, training, end| Held { what: what.into(), training, end };
        let mut all = vec![held("the policy", 1 << 18, 1 << 19), held("`dpo` as favoured", 3 << 18, 0)];
        assert_eq!(listed(&all), "the policy 1 MiB, `dpo` as favoured 3 MiB (while it trains)");
        all[1].training = 1;
        assert_eq!(listed(&all), "the policy 2 MiB (while its result is saved)");
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
