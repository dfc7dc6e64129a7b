//! The sizes of a decoder, and the keys that hold them.
use super::keys::Keys;
use crate::architecture::Architecture;
use crate::error::LmError;

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

/// Sizes that transformers assumes when the file does not give them.
struct Defaults {
    /// none: as many as query heads
    kv_heads: Option<usize>,
    /// none: hidden size over heads
    head_dim: Option<usize>,
    positions: usize,
}

fn defaults(architecture: Architecture) -> Defaults {
    let (kv_heads, head_dim, positions) = match architecture {
        Architecture::Llama => (None, None, 2048),
        Architecture::Mistral => (Some(8), None, 4096 * 32),
        Architecture::Qwen2 => (Some(32), None, 32768),
        Architecture::Qwen3 => (Some(32), Some(128), 32768),
        Architecture::Gemma => (Some(16), Some(256), 8192),
        Architecture::Gemma2 => (Some(4), Some(256), 8192),
        Architecture::Gpt2 => (None, None, 1024),
    };
    Defaults { kv_heads, head_dim, positions }
}

/// Names of the keys: hidden, feed-forward, layers, heads, positions.
fn names(architecture: Architecture) -> [&'static str; 5] {
    match architecture {
        Architecture::Gpt2 => ["n_embd", "n_inner", "n_layer", "n_head", "n_positions"],
        _ => ["hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "max_position_embeddings"],
    }
}

impl Sizes {
    pub(super) fn parse(keys: Keys, architecture: Architecture) -> Result<Self, LmError> {
        let [hidden_key, ff_key, layers_key, heads_key, positions_key] = names(architecture);
        let (gpt2, d) = (architecture == Architecture::Gpt2, defaults(architecture));
        let (hidden, heads) = (keys.size(hidden_key)?, keys.size(heads_key)?);
        if heads == 0 {
            return Err(keys.refuse(heads_key, "is 0"));
        }
        let ff = if gpt2 { keys.count(ff_key)?.unwrap_or(4 * hidden) } else { keys.size(ff_key)? };
        // a null, unlike a missing key, stands for the number of query heads
        let kv_heads = match d.kv_heads.filter(|_| !keys.raw.contains_key("num_key_value_heads")) {
            Some(n) => n,
            None if gpt2 => heads,
            None => keys.count("num_key_value_heads")?.unwrap_or(heads),
        };
        let given = if gpt2 { None } else { keys.count("head_dim")? };
        let default = d.head_dim.filter(|_| !keys.raw.contains_key("head_dim"));
        let sizes = Sizes {
            vocab: keys.size("vocab_size")?,
            hidden,
            ff,
            layers: keys.size(layers_key)?,
            heads,
            kv_heads,
            head_dim: given.or(default).unwrap_or(hidden / heads),
            positions: keys.count(positions_key)?.unwrap_or(d.positions),
        };
        sizes.check(keys, architecture)?;
        Ok(sizes)
    }

    fn check(&self, keys: Keys, architecture: Architecture) -> Result<(), LmError> {
        let [hidden, ff, layers, heads, positions] = names(architecture);
        let all = [
            ("vocab_size", self.vocab),
            (hidden, self.hidden),
            (ff, self.ff),
            (layers, self.layers),
            ("num_key_value_heads", self.kv_heads),
            ("head_dim", self.head_dim),
            (positions, self.positions),
        ];
        if let Some((key, _)) = all.iter().find(|(_, n)| *n == 0) {
            return Err(keys.refuse(key, "is 0"));
        }
        if architecture == Architecture::Gpt2 {
            if self.heads * self.head_dim != self.hidden {
                return Err(
                    keys.refuse(heads, format!("is {}, which does not divide {hidden} = {}", self.heads, self.hidden))
                );
            }
            return Ok(());
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            let problem = format!("is {}, which does not divide {heads} = {}", self.kv_heads, self.heads);
            return Err(keys.refuse("num_key_value_heads", problem));
        }
        if !self.head_dim.is_multiple_of(2) {
            let problem = format!("is {}, the rotary embedding needs an even width", self.head_dim);
            return Err(keys.refuse("head_dim", problem));
        }
        Ok(())
    }
}
