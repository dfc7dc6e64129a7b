//! Decoder-only language models on typed tensors: load a Hugging Face folder, run, sample, save.
//!
//! [`Decoder`] runs every [`Architecture`] from its `config.json`: one [`Layer`] made of optional parts (norms, biases, fused
//! projections, gates, windows, soft caps), not a model per architecture. It is generic over its sizes: [`Preset`] fixes
//! them as constants at compile time, [`Loaded`] reads them from a checkpoint, one implementation serves both.
//! [`Decoder::token_logps`] maps a packed batch to one log-probability per target and never stores the logits. [`Sampler`]
//! answers prompts with a paged cache that equal prompts share; [`Decoder::beam_search`] looks for the best answers by a
//! score; [`Decoder::frozen`] rounds weights to 16 or 8 bits. [`Decoder::with_lora`] trains a low-rank adapter in place of the
//! weights, [`Decoder::freeze`] leaves tensors out of training, [`Headed`] puts value and reward heads on the states. Losses
//! live elsewhere: this crate knows none.
//!
//! Dropout is never applied, whatever `config.json` says of it. [`Config`] states which of its keys are read, which are
//! refused, and which are let through.
//!
//! ```
//! use tropism_lm::{Config, Decoder, Loaded, Sizes, TokenBatch};
//! use tropism_ops::Tree;
//!
//! let sizes = Sizes { vocab: 16, hidden: 8, ff: 16, layers: 1, heads: 2, kv_heads: 1, head_dim: 4, positions: 32 };
//! let model = Decoder::<Loaded, f32>::random(Loaded::new(Config::new(sizes, true)?), 7)?;
//! // one sequence of three tokens; its second and third are predicted from the states before them
//! let tree = Tree::sequences(&[3])?;
//! let batch = TokenBatch { ids: &[3, 1, 4], tree: &tree, sources: &[0, 1], targets: &[1, 4] };
//! let logps = model.token_logps(batch, dfdx::prelude::NoneTape)?;
//! assert!(logps.as_vec().iter().all(|l| *l < 0.0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod architecture;
mod config;
mod decoder;
mod dims;
mod error;
mod feed_forward;
mod figure;
mod folder;
mod freeze;
mod heads;
mod init;
mod layer;
mod linear;
mod load;
mod lora;
mod matrix;
mod memory;
mod norm;
mod part;
mod random;
mod rope;
mod sample;
mod save;
mod tempered;
mod visit;

pub use architecture::Architecture;
pub use config::{Config, Sizes};
pub use decoder::{Decoder, TokenBatch};
pub use dims::{
    Dims, Ff, HeadDim, Hidden, KeyValue, Loaded, Outputs, Positions, Preset, Query, QueryKeyValue, Rank, SmolLm135, Vocab,
};
pub use error::LmError;
pub use feed_forward::FeedForward;
pub use folder::{FolderWriter, copy_tokenizer_files};
pub use heads::{HeadSpec, Headed, Heads, LanguageHeads, last_tokens};
pub use layer::{Layer, Qkv};
pub use linear::Linear;
pub use load::{load, read_tensors};
pub use lora::{Lora, LoraConfig, Targets};
pub use matrix::Matrix;
pub use memory::Footprint;
pub use norm::{Norm, NormKind};
pub use sample::{
    Answer, Batching, Beams, End, HookStep, Hypothesis, LogitsHook, Reply, Request, Sampler, Sampling, StopStrings, Turn,
    written,
};
pub use save::WeightDtype;
