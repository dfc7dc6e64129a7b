//! Which keys of `config.json` are read, which may only say that something is off, and which do not matter.
use super::keys::Keys;
use crate::architecture::Architecture;
use crate::error::LmError;
use serde_json::Value;

/// Read for every architecture.
const COMMON: &[&str] = &["model_type", "vocab_size", "tie_word_embeddings", "initializer_range", "eos_token_id"];

/// Read for all but GPT-2.
const ROTARY: &[&str] = &[
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "max_position_embeddings",
    "rms_norm_eps",
    "rope_theta",
    "rope_scaling",
    "rope_parameters",
    "layer_types",
];

/// Read for one architecture.
fn own(architecture: Architecture) -> &'static [&'static str] {
    match architecture {
        Architecture::Llama => &["hidden_act", "attention_bias", "mlp_bias"],
        Architecture::Mistral => &["hidden_act", "sliding_window"],
        Architecture::Qwen2 => &["hidden_act", "sliding_window", "use_sliding_window", "max_window_layers"],
        Architecture::Qwen3 => {
            &["hidden_act", "attention_bias", "sliding_window", "use_sliding_window", "max_window_layers"]
        }
        Architecture::Gemma => &["hidden_act", "hidden_activation", "attention_bias"],
        Architecture::Gemma2 => &[
            "hidden_activation",
            "attention_bias",
            "sliding_window",
            "query_pre_attn_scalar",
            "attn_logit_softcapping",
            "final_logit_softcapping",
        ],
        Architecture::Gpt2 => &[
            "n_embd",
            "n_inner",
            "n_layer",
            "n_head",
            "n_positions",
            "layer_norm_epsilon",
            "activation_function",
            "scale_attn_weights",
            "scale_attn_by_inverse_layer_idx",
            "layer_types",
        ],
    }
}

/// Known not to change what is computed here: dropout is never applied, the choice of a kernel changes rounding at most, and
/// the rest describes files, other heads and generation. Further harmless keys need no entry; see [`check`].
const HARMLESS: &[&str] = &[
    "architectures",
    "transformers_version",
    "torch_dtype",
    "dtype",
    "use_cache",
    "cache_implementation",
    "bos_token_id",
    "pad_token_id",
    "attention_dropout",
    "hidden_dropout",
    "attention_probs_dropout_prob",
    "attn_implementation",
    "use_flash_attn",
    "use_flash_attention",
    "use_flash_attention_2",
    "flash_attention",
    "output_attentions",
    "output_hidden_states",
    "pretraining_tp",
    "reorder_and_upcast_attn",
    "attn_pdrop",
    "embd_pdrop",
    "resid_pdrop",
    "n_ctx",
    "summary_activation",
    "summary_first_dropout",
    "summary_proj_to_labels",
    "summary_type",
    "summary_use_proj",
    "task_specific_params",
    "is_decoder",
    "is_llama_config",
    "lora_dropout",
];

/// Known not to matter for one architecture, because its models never read them.
fn harmless(architecture: Architecture) -> &'static [&'static str] {
    match architecture {
        Architecture::Gemma2 => &["hidden_act", "sliding_window_size"],
        Architecture::Qwen2 => &["attention_bias"],
        Architecture::Mistral => &["max_window_layers"],
        _ => &[],
    }
}

/// Would change the computation: allowed only with a value that says that it is off, or with the given one.
const NEUTRAL: &[(&str, Option<f64>)] = &[
    ("quantization_config", None),
    ("partial_rotary_factor", Some(1.0)),
    ("rope_interleaved", None),
    ("use_bidirectional_attention", None),
    ("is_encoder_decoder", None),
    ("add_cross_attention", None),
    ("pruned_heads", None),
    ("use_mrope", None),
    ("alibi", None),
];

/// Words in the name of a key that suggest a change of the computation.
const SUSPICIOUS: &[&str] = &[
    "attention",
    "attn",
    "rope",
    "rotary",
    "norm",
    "scal",
    "softcap",
    "multiplier",
    "window",
    "bias",
    "expert",
    "moe",
    "activation",
    "hidden_act",
    "alibi",
    "sink",
    "clip",
    "residual",
    "parallel",
    "adapter",
    "lora",
    "quant",
    "sparse",
    "chunk",
    "position",
    "tie_",
    "layer_types",
];

/// Whether a value says that something is off.
fn off(v: &Value) -> bool {
    match v {
        Value::Null => true,
        Value::Bool(b) => !b,
        Value::Number(n) => n.as_f64() == Some(0.0),
        Value::String(s) => s.is_empty(),
        Value::Array(a) => a.is_empty(),
        Value::Object(o) => o.is_empty(),
    }
}

/// Goes through all keys of the file. A key that no list names is let through, as transformers does (model code reads a
/// fixed set of keys, whatever else stands there), unless its name suggests a change of the computation and its value is
/// not off: then a later version of the architecture may be meant, and silence would be a wrong model.
pub(super) fn check(keys: Keys, architecture: Architecture) -> Result<(), LmError> {
    let rotary = if architecture == Architecture::Gpt2 { &[] } else { ROTARY };
    let lists = [COMMON, rotary, own(architecture), HARMLESS, harmless(architecture)];
    for (key, value) in keys.raw {
        if lists.iter().any(|l| l.contains(&key.as_str())) || key.starts_with('_') || off(value) {
            continue;
        }
        if let Some((_, neutral)) = NEUTRAL.iter().find(|(k, _)| k == key) {
            if neutral.is_some_and(|n| value.as_f64() == Some(n)) {
                continue;
            }
            let wanted = neutral.map_or("null or false".to_owned(), |n| n.to_string());
            return Err(keys.refuse(key, format!("is {value}, which is not supported; only {wanted} is")));
        }
        if SUSPICIOUS.iter().any(|word| key.contains(word)) {
            let problem = format!(
                "is {value}, which this crate does not know for `{}` models and which may change what is computed; remove it \
                 if the model does not need it",
                architecture.name()
            );
            return Err(keys.refuse(key, problem));
        }
    }
    Ok(())
}
