//! What an architecture's layers are made of, as its `config.json` says.
use super::keys::Keys;
use super::{Sizes, windows};
use crate::architecture::Architecture;
use crate::error::LmError;
use crate::norm::NormKind;
use tropism_ops::{Activation, AttentionConfig, Heads};

/// Which projections have a bias.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Biases {
    pub(crate) qkv: bool,
    pub(crate) output: bool,
    pub(crate) ff: bool,
}

/// The parts of a model beside its sizes.
#[derive(Clone, Debug)]
pub(crate) struct Style {
    pub(crate) norm: NormKind,
    pub(crate) activation: Activation,
    /// whether the feed-forward part has a gate
    pub(crate) gated: bool,
    pub(crate) bias: Biases,
    /// queries, keys and values in one projection
    pub(crate) fused: bool,
    /// norms of each head's queries and keys
    pub(crate) head_norms: bool,
    /// norms after attention and after the feed-forward part
    pub(crate) post_norms: bool,
    pub(crate) embed_scale: f64,
    pub(crate) logit_softcap: Option<f64>,
    attention_softcap: Option<f64>,
    /// factor of the raw scores, layer by layer
    scales: Vec<f64>,
    /// window, layer by layer
    windows: Vec<Option<usize>>,
}

impl Style {
    pub(super) fn parse(keys: Keys, architecture: Architecture, sizes: Sizes) -> Result<Self, LmError> {
        use Architecture::*;
        let gemma = matches!(architecture, Gemma | Gemma2);
        let norm = match architecture {
            Gpt2 => NormKind::Layer,
            _ => NormKind::Rms { offset: if gemma { 1.0 } else { 0.0 } },
        };
        let cap = |key: &str, default: f64| -> Result<Option<f64>, LmError> {
            let cap = if architecture == Gemma2 { keys.or_null(key, default)? } else { None };
            if cap.is_some_and(|c| c <= 0.0) { Err(keys.refuse(key, "must be above 0")) } else { Ok(cap) }
        };
        Ok(Style {
            norm,
            activation: activation(keys, architecture)?,
            gated: architecture != Gpt2,
            bias: biases(keys, architecture)?,
            fused: architecture == Gpt2,
            head_norms: architecture == Qwen3,
            post_norms: architecture == Gemma2,
            embed_scale: if gemma { (sizes.hidden as f64).sqrt() } else { 1.0 },
            logit_softcap: cap("final_logit_softcapping", 30.0)?,
            attention_softcap: cap("attn_logit_softcapping", 50.0)?,
            scales: scales(keys, architecture, sizes)?,
            windows: windows::parse(keys, architecture, sizes.layers)?,
        })
    }

    /// How layer `i` attends.
    pub(crate) fn attention(&self, i: usize, heads: Heads) -> AttentionConfig {
        AttentionConfig {
            scale: self.scales[i],
            softcap: self.attention_softcap,
            window: self.windows[i],
            ..AttentionConfig::from(heads)
        }
    }
}

fn biases(keys: Keys, architecture: Architecture) -> Result<Biases, LmError> {
    Ok(match architecture {
        Architecture::Gpt2 => Biases { qkv: true, output: true, ff: true },
        Architecture::Qwen2 => Biases { qkv: true, output: false, ff: false },
        Architecture::Mistral => Biases { qkv: false, output: false, ff: false },
        _ => {
            let attention = keys.flag("attention_bias", false)?;
            let ff = architecture == Architecture::Llama && keys.flag("mlp_bias", false)?;
            Biases { qkv: attention, output: attention, ff }
        }
    })
}

/// Gemma's first configurations say `hidden_act: gelu` and mean the tanh form that the models were trained with;
/// `hidden_activation` decides where it stands.
fn activation(keys: Keys, architecture: Architecture) -> Result<Activation, LmError> {
    use Architecture::*;
    let (key, default) = match architecture {
        Gpt2 => ("activation_function", "gelu_new"),
        Gemma2 => ("hidden_activation", "gelu_pytorch_tanh"),
        Gemma if keys.text("hidden_activation")?.is_some() => ("hidden_activation", "gelu_pytorch_tanh"),
        Gemma => ("hidden_act", "gelu_pytorch_tanh"),
        _ => ("hidden_act", "silu"),
    };
    match keys.text(key)?.unwrap_or(default) {
        "gelu" if architecture == Gemma && key == "hidden_act" => Ok(Activation::GeluTanh),
        "silu" | "swish" => Ok(Activation::Silu),
        "gelu_pytorch_tanh" | "gelu_python_tanh" | "gelu_new" | "gelu_fast" => Ok(Activation::GeluTanh),
        "gelu" | "gelu_python" => Ok(Activation::GeluErf),
        other => {
            let all = "silu, swish, gelu, gelu_python, gelu_new, gelu_fast, gelu_pytorch_tanh and gelu_python_tanh";
            Err(keys.refuse(key, format!("is `{other}`; supported are {all}")))
        }
    }
}

/// `1 / sqrt(head_dim)` unless the architecture has a key for it.
fn scales(keys: Keys, architecture: Architecture, sizes: Sizes) -> Result<Vec<f64>, LmError> {
    let plain = (sizes.head_dim as f64).sqrt().recip();
    let layers = 0..sizes.layers;
    match architecture {
        Architecture::Gemma2 => {
            let scalar = keys.number("query_pre_attn_scalar")?.unwrap_or(256.0);
            if scalar <= 0.0 {
                return Err(keys.refuse("query_pre_attn_scalar", format!("is {scalar}, it must be above 0")));
            }
            Ok(vec![scalar.sqrt().recip(); sizes.layers])
        }
        Architecture::Gpt2 => {
            let scale = if keys.flag("scale_attn_weights", true)? { plain } else { 1.0 };
            let falling = keys.flag("scale_attn_by_inverse_layer_idx", false)?;
            Ok(layers.map(|i| if falling { scale / (i + 1) as f64 } else { scale }).collect())
        }
        _ => Ok(vec![plain; sizes.layers]),
    }
}
