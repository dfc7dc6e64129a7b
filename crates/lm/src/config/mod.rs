//! `config.json` of a Hugging Face folder, in its older and its newer style.
mod keys;
mod known;
mod sizes;
mod style;
mod windows;

pub(crate) use keys::Keys;
pub use sizes::Sizes;
pub(crate) use style::Style;

use crate::architecture::Architecture;
use crate::error::LmError;
use crate::rope::Rope;
use serde_json::{Map, Value, json};
use std::path::Path;

/// Everything that `config.json` says about a model.
///
/// Every key falls into one of four groups. Keys that the architecture's model code reads are read here. Keys that are known
/// not to change what is computed (dropout, kernels, token ids, other heads) are let through. Keys that are known to change
/// it and are not supported must say that they are off. All others are let through as transformers does, unless their name
/// suggests a change of the computation (`…attention…`, `…scale…`, `…bias…`) and their value is not off: such a key is an
/// error that names it.
#[derive(Clone, Debug)]
pub struct Config {
    /// which architecture
    pub architecture: Architecture,
    /// sizes
    pub sizes: Sizes,
    /// added inside the roots of norms: `rms_norm_eps`, in GPT-2 `layer_norm_epsilon`
    pub eps: f64,
    /// whether the head is the embedding
    pub tied: bool,
    /// standard deviation of fresh weights
    pub initializer_range: f64,
    /// ids that end a sequence, as far as the file names them
    pub eos: Vec<u32>,
    /// none with learned positions
    pub(crate) rope: Option<Rope>,
    pub(crate) style: Style,
    /// the file as it was read: saved again with what is not understood here kept
    raw: Map<String, Value>,
}

impl Config {
    /// A fresh model's configuration: rope base 10,000, `rms_norm_eps` 1e-6, weights of deviation 0.02.
    ///
    /// # Errors
    /// Sizes that do not make a model; the key is named.
    pub fn new(sizes: Sizes, tied: bool) -> Result<Self, LmError> {
        let raw = json!({
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
            "attention_bias": false, "attention_dropout": 0.0, "mlp_bias": false,
            "vocab_size": sizes.vocab, "hidden_size": sizes.hidden, "intermediate_size": sizes.ff,
            "num_hidden_layers": sizes.layers, "num_attention_heads": sizes.heads,
            "num_key_value_heads": sizes.kv_heads, "head_dim": sizes.head_dim,
            "max_position_embeddings": sizes.positions, "rms_norm_eps": 1e-6, "initializer_range": 0.02,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}, "rope_theta": 10000.0,
            "tie_word_embeddings": tied, "dtype": "float32", "use_cache": true,
            "bos_token_id": null, "eos_token_id": null, "pad_token_id": null,
        });
        Self::parse(&raw.to_string(), Path::new("new model"))
    }

    /// Reads `config.json` of `folder`.
    ///
    /// # Errors
    /// A missing or broken file, another architecture, a setting that is not supported: named by file and key.
    pub fn read(folder: &Path) -> Result<Self, LmError> {
        let path = folder.join("config.json");
        let text = std::fs::read_to_string(&path).map_err(LmError::io(&path))?;
        Self::parse(&text, &path)
    }

    /// Reads the text of a `config.json`; `path` is for messages.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, LmError> {
        let broken = |e: serde_json::Error| LmError::file(path, format!("not a usable model configuration: {e}"));
        let raw: Map<String, Value> = serde_json::from_str(text).map_err(broken)?;
        let keys = Keys { raw: &raw, path };
        let architecture = architecture(keys)?;
        known::check(keys, architecture)?;
        let sizes = Sizes::parse(keys, architecture)?;
        let gpt2 = architecture == Architecture::Gpt2;
        let (eps_key, eps) = if gpt2 { ("layer_norm_epsilon", 1e-5) } else { ("rms_norm_eps", 1e-6) };
        let tied = matches!(architecture, Architecture::Gemma | Architecture::Gemma2 | Architecture::Gpt2);
        Ok(Config {
            architecture,
            sizes,
            eps: keys.number(eps_key)?.unwrap_or(eps),
            tied: keys.flag("tie_word_embeddings", tied)?,
            initializer_range: keys.number("initializer_range")?.unwrap_or(0.02),
            eos: raw.get("eos_token_id").map(ids).unwrap_or_default(),
            rope: if gpt2 { None } else { Some(Rope::parse(keys, sizes.positions)?) },
            style: Style::parse(keys, architecture, sizes)?,
            raw,
        })
    }

    /// Sets a key that this crate does not interpret (`eos_token_id`, `pad_token_id`, …) for the saved file.
    pub fn set(&mut self, key: &str, value: Value) {
        if key == "eos_token_id" {
            self.eos = ids(&value);
        }
        self.raw.insert(key.to_owned(), value);
    }

    /// Removes a key that this crate does not interpret.
    pub(crate) fn unset(&mut self, key: &str) {
        self.raw.remove(key);
    }

    /// The value of a key as the file has it.
    pub(crate) fn raw(&self, key: &str) -> Option<&Value> {
        self.raw.get(key)
    }

    /// Changes the standard deviation of fresh weights.
    pub fn with_initializer_range(mut self, std: f64) -> Self {
        self.initializer_range = std;
        self.raw.insert("initializer_range".into(), json!(std));
        self
    }

    /// The text of `config.json` for weights stored as `dtype`.
    pub(crate) fn to_json(&self, dtype: &str) -> String {
        let mut raw = self.raw.clone();
        let older = raw.contains_key("torch_dtype") && !raw.contains_key("dtype");
        raw.insert(if older { "torch_dtype" } else { "dtype" }.into(), json!(dtype));
        format!("{:#}\n", Value::Object(raw))
    }
}

fn ids(v: &Value) -> Vec<u32> {
    let one = |v: &Value| v.as_u64().and_then(|i| u32::try_from(i).ok());
    match v {
        Value::Array(list) => list.iter().filter_map(one).collect(),
        v => one(v).into_iter().collect(),
    }
}

/// The architecture that `model_type` names.
fn architecture(keys: Keys) -> Result<Architecture, LmError> {
    let found = keys.text("model_type")?.unwrap_or_default();
    Architecture::ALL.into_iter().find(|a| a.name() == found).ok_or_else(|| {
        let all = Architecture::ALL.map(Architecture::name).join(", ");
        let found = if found.is_empty() { "missing".to_owned() } else { format!("`{found}`") };
        keys.refuse("model_type", format!("is {found}; supported are {all}"))
    })
}
