//! The architectures, and what their checkpoints call things.

/// An architecture, by its `model_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// RMSNorm, rotary embedding, grouped-query attention, gated SiLU
    Llama,
    /// Llama with a sliding window
    Mistral,
    /// Llama with biases on queries, keys and values, and windows in upper layers
    Qwen2,
    /// Llama with RMSNorm of each head's queries and keys, and windows in upper layers
    Qwen3,
    /// RMSNorm scaled by 1 + weight, scaled embedding, gated GELU
    Gemma,
    /// Gemma with norms on both sides of each part, soft caps, and a window in every other layer
    Gemma2,
    /// LayerNorm, learned positions, fused projections with biases, GELU without gate
    Gpt2,
}

impl Architecture {
    /// All of them.
    pub const ALL: [Architecture; 7] = [
        Architecture::Llama,
        Architecture::Mistral,
        Architecture::Qwen2,
        Architecture::Qwen3,
        Architecture::Gemma,
        Architecture::Gemma2,
        Architecture::Gpt2,
    ];

    /// Its `model_type`.
    pub fn name(self) -> &'static str {
        match self {
            Architecture::Llama => "llama",
            Architecture::Mistral => "mistral",
            Architecture::Qwen2 => "qwen2",
            Architecture::Qwen3 => "qwen3",
            Architecture::Gemma => "gemma",
            Architecture::Gemma2 => "gemma2",
            Architecture::Gpt2 => "gpt2",
        }
    }

    /// What transformers calls its models: with logits for every token, and with scores per sequence.
    pub(crate) fn classes(self) -> [&'static str; 2] {
        match self {
            Architecture::Llama => ["LlamaForCausalLM", "LlamaForSequenceClassification"],
            Architecture::Mistral => ["MistralForCausalLM", "MistralForSequenceClassification"],
            Architecture::Qwen2 => ["Qwen2ForCausalLM", "Qwen2ForSequenceClassification"],
            Architecture::Qwen3 => ["Qwen3ForCausalLM", "Qwen3ForSequenceClassification"],
            Architecture::Gemma => ["GemmaForCausalLM", "GemmaForSequenceClassification"],
            Architecture::Gemma2 => ["Gemma2ForCausalLM", "Gemma2ForSequenceClassification"],
            Architecture::Gpt2 => ["GPT2LMHeadModel", "GPT2ForSequenceClassification"],
        }
    }

    /// What stands before all names but the head's, unless the checkpoint was saved from the bare trunk.
    fn prefix(self) -> &'static str {
        if self == Architecture::Gpt2 { "transformer." } else { "model." }
    }

    fn parts(self) -> &'static Parts {
        match self {
            Architecture::Gpt2 => &GPT2,
            Architecture::Gemma2 => &GEMMA2,
            _ => &LLAMA,
        }
    }
}

/// Names of the parts of a checkpoint, without `.weight` and `.bias`.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) embed: &'static str,
    pub(crate) positions: &'static str,
    pub(crate) layers: &'static str,
    pub(crate) input_norm: &'static str,
    pub(crate) qkv: [&'static str; 3],
    pub(crate) fused: &'static str,
    pub(crate) head_norms: [&'static str; 2],
    pub(crate) output: &'static str,
    pub(crate) attention_norm: &'static str,
    pub(crate) ff_norm: &'static str,
    pub(crate) gate: &'static str,
    pub(crate) up: &'static str,
    pub(crate) down: &'static str,
    pub(crate) post_ff_norm: &'static str,
    pub(crate) norm: &'static str,
}

/// A part that the architecture does not have.
const NONE: &str = "";

const LLAMA: Parts = Parts {
    embed: "embed_tokens",
    positions: NONE,
    layers: "layers",
    input_norm: "input_layernorm",
    qkv: ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
    fused: NONE,
    head_norms: ["self_attn.q_norm", "self_attn.k_norm"],
    output: "self_attn.o_proj",
    attention_norm: NONE,
    ff_norm: "post_attention_layernorm",
    gate: "mlp.gate_proj",
    up: "mlp.up_proj",
    down: "mlp.down_proj",
    post_ff_norm: NONE,
    norm: "norm",
};

const GEMMA2: Parts = Parts {
    attention_norm: "post_attention_layernorm",
    ff_norm: "pre_feedforward_layernorm",
    post_ff_norm: "post_feedforward_layernorm",
    ..LLAMA
};

const GPT2: Parts = Parts {
    embed: "wte",
    positions: "wpe",
    layers: "h",
    input_norm: "ln_1",
    qkv: [NONE; 3],
    fused: "attn.c_attn",
    head_norms: [NONE; 2],
    output: "attn.c_proj",
    attention_norm: NONE,
    ff_norm: "ln_2",
    gate: NONE,
    up: "mlp.c_fc",
    down: "mlp.c_proj",
    post_ff_norm: NONE,
    norm: "ln_f",
};

/// How one model's checkpoint names its tensors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names {
    architecture: Architecture,
    /// saved from the trunk alone, without prefix
    pub(crate) bare: bool,
}

/// The output projection to the vocabulary: never with a prefix.
pub(crate) const HEAD: &str = "lm_head.weight";

impl Names {
    pub(crate) fn new(architecture: Architecture) -> Self {
        Names { architecture, bare: false }
    }

    pub(crate) fn parts(&self) -> &'static Parts {
        self.architecture.parts()
    }

    fn prefix(&self) -> &'static str {
        if self.bare { "" } else { self.architecture.prefix() }
    }

    /// A part outside the layers.
    pub(crate) fn top(&self, part: &str) -> String {
        format!("{}{part}", self.prefix())
    }

    /// A part of layer `i`.
    pub(crate) fn layer(&self, i: usize, part: &str) -> String {
        format!("{}{}.{i}.{part}", self.prefix(), self.parts().layers)
    }

    /// A name without the prefix that it may have.
    pub(crate) fn base<'a>(&self, name: &'a str) -> &'a str {
        name.strip_prefix(self.architecture.prefix()).unwrap_or(name)
    }

    /// A name with the prefix that a bare trunk's names lack.
    pub(crate) fn whole(&self, name: &str) -> String {
        format!("{}{}", self.architecture.prefix(), self.base(name))
    }

    /// Whether some weights are stored as (in, out).
    pub(crate) fn turned(&self) -> bool {
        self.architecture == Architecture::Gpt2
    }

    /// Whether the checkpoint stores this weight as (in, out).
    pub(crate) fn transposed(&self, name: &str) -> bool {
        let parts = [self.parts().fused, self.parts().output, self.parts().up, self.parts().down];
        let stem = name.strip_suffix(".weight").unwrap_or_default();
        self.turned() && parts.iter().any(|p| stem.ends_with(p))
    }

    /// Whether a stored tensor is no parameter: tables that older libraries saved along.
    pub(crate) fn buffer(&self, name: &str) -> bool {
        let mask = |name: &str| name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias");
        name.ends_with("rotary_emb.inv_freq") || (self.architecture == Architecture::Gpt2 && mask(name))
    }
}
