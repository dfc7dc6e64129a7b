//! `config.json` of a Hugging Face folder, in its older and its newer style.
use crate::error::LmError;
use crate::rope::Rope;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::path::Path;

/// The sizes of a decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// rows of the embedding
    pub vocab: usize,
    /// width of the residual stream
    pub hidden: usize,
    /// width of the feed-forward layer
    pub ff: usize,
    /// number of layers
    pub layers: usize,
    /// query heads
    pub heads: usize,
    /// key and value heads
    pub kv_heads: usize,
    /// width of one head
    pub head_dim: usize,
    /// longest sequence
    pub positions: usize,
}

/// Everything that `config.json` says about a Llama model.
#[derive(Clone, Debug)]
pub struct Config {
    /// sizes
    pub sizes: Sizes,
    /// `rms_norm_eps`
    pub eps: f64,
    /// whether the head is the embedding
    pub tied: bool,
    /// standard deviation of fresh weights
    pub initializer_range: f64,
    /// ids that end a sequence, as far as the file names them
    pub eos: Vec<u32>,
    pub(crate) rope: Rope,
    /// the file as it was read: saved again with what is not understood here kept
    raw: Map<String, Value>,
}

/// The keys that matter, as they stand in the file.
#[derive(Deserialize)]
struct Keys {
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    #[serde(default = "default_positions")]
    max_position_embeddings: usize,
    #[serde(default = "default_eps")]
    rms_norm_eps: f64,
    #[serde(default)]
    tie_word_embeddings: bool,
    #[serde(default = "default_std")]
    initializer_range: f64,
    hidden_act: Option<String>,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    #[serde(default)]
    eos_token_id: Value,
}

// the defaults of transformers' LlamaConfig
fn default_positions() -> usize {
    2048
}
fn default_eps() -> f64 {
    1e-6
}
fn default_std() -> f64 {
    0.02
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
        if raw.get("model_type").is_none_or(|m| m != "llama") {
            let found = raw.get("model_type").map_or("missing".to_owned(), Value::to_string);
            let problem = format!("is {found}, only \"llama\" is supported");
            return Err(LmError::Config { path: path.into(), key: "model_type".into(), problem });
        }
        let keys: Keys = serde_json::from_value(Value::Object(raw.clone())).map_err(broken)?;
        let rope = Rope::parse(&raw, path)?;
        keys.check(path)?;
        let heads = keys.num_attention_heads;
        let sizes = Sizes {
            vocab: keys.vocab_size,
            hidden: keys.hidden_size,
            ff: keys.intermediate_size,
            layers: keys.num_hidden_layers,
            heads,
            kv_heads: keys.num_key_value_heads.unwrap_or(heads),
            head_dim: keys.head_dim.unwrap_or(keys.hidden_size / heads),
            positions: keys.max_position_embeddings,
        };
        sizes.check(path)?;
        let (eps, tied, initializer_range) = (keys.rms_norm_eps, keys.tie_word_embeddings, keys.initializer_range);
        Ok(Config { sizes, eps, tied, initializer_range, eos: ids(&keys.eos_token_id), rope, raw })
    }

    /// Sets a key that this crate does not interpret (`eos_token_id`, `pad_token_id`, …) for the saved file.
    pub fn set(&mut self, key: &str, value: Value) {
        if key == "eos_token_id" {
            self.eos = ids(&value);
        }
        self.raw.insert(key.to_owned(), value);
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

impl Keys {
    fn check(&self, path: &Path) -> Result<(), LmError> {
        let refuse = |key: &str, problem: String| Err(LmError::Config { path: path.into(), key: key.into(), problem });
        if let Some(act) = self.hidden_act.as_deref().filter(|a| !matches!(*a, "silu" | "swish")) {
            return refuse("hidden_act", format!("is `{act}`, only silu is supported"));
        }
        for (key, on) in [("attention_bias", self.attention_bias), ("mlp_bias", self.mlp_bias)] {
            if on {
                return refuse(key, "is true, models with biases are not supported".into());
            }
        }
        if self.num_attention_heads == 0 {
            return refuse("num_attention_heads", "is 0".into());
        }
        Ok(())
    }
}

impl Sizes {
    fn check(&self, path: &Path) -> Result<(), LmError> {
        let refuse = |key: &str, problem: String| Err(LmError::Config { path: path.into(), key: key.into(), problem });
        let all = [
            ("vocab_size", self.vocab),
            ("hidden_size", self.hidden),
            ("intermediate_size", self.ff),
            ("num_hidden_layers", self.layers),
            ("num_attention_heads", self.heads),
            ("num_key_value_heads", self.kv_heads),
            ("head_dim", self.head_dim),
            ("max_position_embeddings", self.positions),
        ];
        if let Some((key, _)) = all.iter().find(|(_, n)| *n == 0) {
            return refuse(key, "is 0".into());
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            let problem = format!("is {}, which does not divide num_attention_heads = {}", self.kv_heads, self.heads);
            return refuse("num_key_value_heads", problem);
        }
        if !self.head_dim.is_multiple_of(2) {
            return refuse("head_dim", format!("is {}, the rotary embedding needs an even width", self.head_dim));
        }
        Ok(())
    }
}
