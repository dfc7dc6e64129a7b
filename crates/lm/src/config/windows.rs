//! Which layers see only a window of the tokens before.
use super::keys::Keys;
use crate::architecture::Architecture;
use crate::error::LmError;
use serde_json::Value;

const SLIDING: &str = "sliding_attention";
const FULL: &str = "full_attention";

/// The window of every layer. `layer_types` decides where the architecture reads it; otherwise Mistral has its window in all
/// layers, Qwen from `max_window_layers` on, Gemma 2 in the first, third, … layer.
pub(super) fn parse(keys: Keys, architecture: Architecture, layers: usize) -> Result<Vec<Option<usize>>, LmError> {
    use Architecture::*;
    let from = keys.count("max_window_layers")?.unwrap_or(28);
    let by_rule = |i: usize| match architecture {
        Mistral => true,
        Qwen2 | Qwen3 => i >= from,
        Gemma2 => i.is_multiple_of(2),
        Llama | Gemma | Gpt2 => false,
    };
    let window = window(keys, architecture)?;
    let Some(types) = types(keys, layers)? else {
        return Ok((0..layers).map(|i| window.filter(|_| by_rule(i))).collect());
    };
    let fixed = matches!(architecture, Llama | Mistral | Gemma | Gpt2);
    for (i, &sliding) in types.iter().enumerate() {
        if sliding && window.is_none() {
            let problem = format!("has `{SLIDING}` for layer {i}, but no sliding window is in use");
            return Err(keys.refuse("layer_types", problem));
        }
        if fixed && sliding != (window.is_some() && by_rule(i)) {
            let problem =
                format!("differs at layer {i} from what `{}` models do, which do not read it", architecture.name());
            return Err(keys.refuse("layer_types", problem));
        }
    }
    Ok(types.into_iter().map(|sliding| window.filter(|_| sliding)).collect())
}

/// The window, if the model has one.
fn window(keys: Keys, architecture: Architecture) -> Result<Option<usize>, LmError> {
    use Architecture::*;
    let on = match architecture {
        Llama | Gemma | Gpt2 => false,
        Qwen2 | Qwen3 => keys.flag("use_sliding_window", false)?,
        Mistral | Gemma2 => true,
    };
    if !on {
        return Ok(None);
    }
    let window = if keys.raw.contains_key("sliding_window") { keys.count("sliding_window")? } else { Some(4096) };
    if window == Some(0) { Err(keys.refuse("sliding_window", "is 0, a token sees at least itself")) } else { Ok(window) }
}

/// Per layer whether it slides, as `layer_types` says.
fn types(keys: Keys, layers: usize) -> Result<Option<Vec<bool>>, LmError> {
    let Some(value) = keys.get("layer_types") else { return Ok(None) };
    let list: &[Value] = value.as_array().map(Vec::as_slice).unwrap_or_default();
    if list.len() != layers {
        return Err(keys.refuse("layer_types", format!("names {} layers, the model has {layers}", list.len())));
    }
    let one = |v: &Value| match v.as_str() {
        Some(SLIDING) => Ok(true),
        Some(FULL) => Ok(false),
        _ => Err(keys.refuse("layer_types", format!("holds {v}; supported are `{FULL}` and `{SLIDING}`"))),
    };
    list.iter().map(one).collect::<Result<_, _>>().map(Some)
}
