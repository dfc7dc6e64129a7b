//! Decoder-only language models on typed tensors: load a Hugging Face folder, run, sample, save.
//!
//! [`Decoder`] is the Llama architecture (RMSNorm, rotary embedding, grouped-query attention, SwiGLU, tied or untied
//! head), generic over its sizes: [`Preset`] fixes them as constants at compile time, [`Loaded`] reads them from a
//! checkpoint, one implementation serves both. [`Decoder::token_logps`] maps a packed batch to one log-probability per
//! target and never stores the logits. [`Sampler`] answers prompts with a paged cache that equal prompts share;
//! [`Decoder::beam_search`] looks for the best answers by a score. Losses live elsewhere: this crate knows none.
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

mod config;
mod decoder;
mod dims;
mod error;
mod folder;
mod init;
mod layer;
mod load;
mod random;
mod rope;
mod sample;
mod save;
mod visit;

pub use config::{Config, Sizes};
pub use decoder::{Decoder, TokenBatch};
pub use dims::{Dims, Ff, Hidden, KeyValue, Loaded, Preset, Query, SmolLm135, Vocab};
pub use error::LmError;
pub use folder::{FolderWriter, copy_tokenizer_files};
pub use layer::Layer;
pub use load::{load, read_tensors};
pub use sample::{Answer, Batching, Beams, End, HookStep, Hypothesis, LogitsHook, Request, Sampler, Sampling, StopStrings};
pub use save::WeightDtype;
