//! Templates that come with the crate.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::DataError;

/// A chat template that comes with the crate, by the family whose notation it writes.
///
/// Each writes what the family's own template writes, checked against figures of transformers. All mark what
/// the assistant wrote by generation tags, up to and including the mark that ends the turn.
///
/// | name | a turn | system turn | tools |
/// |---|---|---|---|
/// | `chatml` | `<\|im_start\|>ROLE\nTEXT<\|im_end\|>\n` | as any other | no |
/// | `llama3` | `<\|start_header_id\|>ROLE<\|end_header_id\|>\n\nTEXT<\|eot_id\|>`, text trimmed, BOS first | as any other | no |
/// | `zephyr` | `<\|ROLE\|>\nTEXT` EOS `\n` | as any other; other roles are left out | no |
/// | `qwen` | as `chatml` (Qwen 2.5) | a default where there is none | yes |
/// | `gemma` | `<start_of_turn>ROLE\nTEXT<end_of_turn>\n`, text trimmed, BOS first | refused | no |
/// | `mistral` | `[INST] TEXT [/INST]`, answers as they are with EOS, BOS first | refused | no |
///
/// ```
/// use tropism_data::text::BuiltIn;
/// assert_eq!("llama3".parse::<BuiltIn>().unwrap(), BuiltIn::Llama3);
/// assert!("llama".parse::<BuiltIn>().unwrap_err().to_string().contains("chatml, llama3"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BuiltIn {
    /// ChatML, as many models use it.
    ChatMl,
    /// Llama 3 (not 3.1, which writes dates).
    Llama3,
    /// Zephyr.
    Zephyr,
    /// Qwen 2.5.
    Qwen,
    /// Gemma and Gemma 2.
    Gemma,
    /// Mistral 7B Instruct, version 0.2.
    Mistral,
}

impl BuiltIn {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::ChatMl, Self::Llama3, Self::Zephyr, Self::Qwen, Self::Gemma, Self::Mistral];

    /// The name, as in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::ChatMl => "chatml",
            Self::Llama3 => "llama3",
            Self::Zephyr => "zephyr",
            Self::Qwen => "qwen",
            Self::Gemma => "gemma",
            Self::Mistral => "mistral",
        }
    }

    /// The template itself, in Jinja.
    pub fn source(self) -> &'static str {
        match self {
            Self::ChatMl => include_str!("builtin/chatml.jinja"),
            Self::Llama3 => include_str!("builtin/llama3.jinja"),
            Self::Zephyr => include_str!("builtin/zephyr.jinja"),
            Self::Qwen => include_str!("builtin/qwen.jinja"),
            Self::Gemma => include_str!("builtin/gemma.jinja"),
            Self::Mistral => include_str!("builtin/mistral.jinja"),
        }
    }

    /// Marks that must be tokens of the vocabulary: written out by characters they would teach a model nothing.
    pub(in crate::text) fn marks(self) -> &'static [&'static str] {
        match self {
            Self::ChatMl | Self::Qwen => &["<|im_start|>", "<|im_end|>"],
            Self::Llama3 => &["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
            Self::Gemma => &["<start_of_turn>", "<end_of_turn>"],
            Self::Zephyr | Self::Mistral => &[],
        }
    }

    /// Special tokens that the template asks for by name.
    pub(in crate::text) fn specials(self) -> &'static [&'static str] {
        match self {
            Self::ChatMl | Self::Qwen => &[],
            Self::Llama3 | Self::Gemma => &["bos_token"],
            Self::Zephyr => &["eos_token"],
            Self::Mistral => &["bos_token", "eos_token"],
        }
    }
}

impl fmt::Display for BuiltIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for BuiltIn {
    type Err = DataError;

    fn from_str(name: &str) -> Result<Self, DataError> {
        let found = Self::ALL.into_iter().find(|template| template.name() == name);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            DataError::config("template", name, format!("no template of that name comes with the crate; there are {names}"))
        })
    }
}
