//! How much memory training takes, counted from the sizes.
use crate::config::Config;

/// Logits that exist at a time per predicted token.
const LOGITS: usize = 2048;

/// Numbers that training keeps, in elements of the model's float type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// of one copy of the weights
    pub weights: usize,
    /// per token of a micro-batch
    pub per_token: usize,
}

impl Config {
    /// What a model of `parameters` parameters takes per copy and per token of a micro-batch, with gradient checkpointing or
    /// without.
    ///
    /// Counted per layer: its input, two normalised states and the states between attention and feed-forward part (4 x
    /// hidden), queries and attended values, keys and values, and three (without a gate two) feed-forward widths. Gradients
    /// on their way back take as much as one layer. A logit chunk is counted for every token, as if all were predicted.
    pub fn footprint(&self, parameters: usize, checkpointing: bool) -> Footprint {
        let s = &self.sizes;
        let (query, key_value) = (s.heads * s.head_dim, s.kv_heads * s.head_dim);
        let wide = if self.style.gated { 3 } else { 2 };
        let layer = 4 * s.hidden + 2 * query + 2 * key_value + wide * s.ff;
        let kept = if checkpointing { s.layers * s.hidden + layer } else { s.layers * layer };
        Footprint { weights: parameters, per_token: kept + layer + 4 * s.hidden + LOGITS }
    }
}

impl Footprint {
    /// Most tokens per micro-batch so that `copies` of the weights (parameters, gradients, two moments, a reference, …) and
    /// the activations stay within `limit` bytes; none when not even the weights do.
    pub fn tokens(&self, limit: u64, copies: usize, float_bytes: usize) -> Option<usize> {
        let numbers = (limit / float_bytes as u64).checked_sub((copies * self.weights) as u64)?;
        usize::try_from(numbers / self.per_token as u64).ok()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::Sizes;

    #[test]
    fn counts_of_a_small_model() {
        let sizes = Sizes { vocab: 10, hidden: 8, ff: 20, layers: 3, heads: 4, kv_heads: 2, head_dim: 2, positions: 16 };
        let config = Config::new(sizes, true).unwrap();
        let layer = 4 * 8 + 2 * 8 + 2 * 4 + 3 * 20;
        let kept = config.footprint(1000, false);
        assert_eq!(kept, Footprint { weights: 1000, per_token: 4 * layer + 32 + 2048 });
        assert_eq!(config.footprint(1000, true).per_token, 3 * 8 + 2 * layer + 32 + 2048);
        let bytes = 4 * (5 * 1000 + 7 * kept.per_token) as u64;
        assert_eq!(kept.tokens(bytes, 5, 4), Some(7));
        assert_eq!(kept.tokens(bytes - 1, 5, 4), Some(6));
        assert_eq!(kept.tokens(4 * 5000 - 1, 5, 4), None);
    }
}
