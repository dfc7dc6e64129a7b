//! Tokenizers, chat templates and the tokenisation of records.

mod encode;
mod json;
mod load;
mod prepare;
mod template;
mod train;

use std::collections::BTreeMap;
use std::path::Path;

pub use prepare::{tokenize_pair, tokenize_pairs, tokenize_sample, tokenize_samples};

use crate::DataError;
use crate::digest::{hex, of_parts};
use crate::record::Message;
use template::Template;

/// A tokenizer with its special tokens and, where it has one, its chat template.
///
/// The token policy is one for every use: [`Tokenizer::encode`] never adds special tokens by itself, so a template that
/// writes the BOS token gives exactly one, and special tokens written in a text (as templates do) become
/// their ids. The files that it was made of are kept and saved unchanged.
///
/// ```
/// use tropism_data::{record::Message, text::Tokenizer};
/// let tokenizer = Tokenizer::train(["the rain in Spain", "the plain"].into_iter(), 262)?;
/// let text = tokenizer.render(&[Message::new("user", "the rain")], true)?;
/// assert_eq!(text, "<|im_start|>user\nthe rain<|im_end|>\n<|im_start|>assistant\n");
/// let ids = tokenizer.encode(&text)?;
/// assert_eq!(ids[0], 0);
/// assert_eq!(tokenizer.decode(&ids, false)?, text);
/// assert_eq!(tokenizer.eos_id(), Some(1));
/// # Ok::<(), tropism_data::DataError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Tokenizer {
    name: String,
    files: BTreeMap<String, Vec<u8>>,
    inner: tokenizers::Tokenizer,
    vocab_size: usize,
    specials: BTreeMap<String, String>,
    special_texts: Vec<String>,
    bos_id: Option<u32>,
    eos_id: Option<u32>,
    pad_id: Option<u32>,
    template: Option<Template>,
}

impl Tokenizer {
    /// Ids of a text. No special token is added; those written in the text are recognised.
    ///
    /// # Errors
    /// Where the tokenizer cannot encode the text, for instance by an unknown token without fallback.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, DataError> {
        let encoding = self.inner.encode_fast(text, false).map_err(|error| self.failed(&*error))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Ids of many texts, on all cores.
    ///
    /// # Errors
    /// As for [`Tokenizer::encode`].
    pub fn encode_batch(&self, texts: &[String]) -> Result<Vec<Vec<u32>>, DataError> {
        let inputs: Vec<&str> = texts.iter().map(String::as_str).collect();
        let encodings = self.inner.encode_batch_fast(inputs, false).map_err(|error| self.failed(&*error))?;
        Ok(encodings.iter().map(|encoding| encoding.get_ids().to_vec()).collect())
    }

    /// Text of ids, with special tokens written out unless `skip_special`.
    ///
    /// # Errors
    /// An id that the tokenizer does not have.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String, DataError> {
        if let Some(id) = ids.iter().find(|&&id| id as usize >= self.vocab_size) {
            let reason = format!("token id {id} is not below the vocabulary size {}", self.vocab_size);
            return Err(DataError::Tokenizer { name: self.name.clone(), reason });
        }
        self.inner.decode(ids, skip_special).map_err(|error| self.failed(&*error))
    }

    /// The tokens of ids as the vocabulary writes them; `None` for an id that it does not have.
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// Renders messages by the chat template, with the opening of an assistant turn at the end if asked for.
    ///
    /// # Errors
    /// Where there is no template, or the template cannot be compiled or refuses the messages.
    pub fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String, DataError> {
        let Some(template) = &self.template else {
            let reason = format!("tokenizer {} has none; use plain text or add a chat_template.jinja", self.name);
            return Err(DataError::Template { reason });
        };
        template.render(messages, add_generation_prompt, &self.specials)
    }

    /// Id of the token that begins a text, where the configuration names one.
    pub fn bos_id(&self) -> Option<u32> {
        self.bos_id
    }

    /// Id of the token that ends a completion, where the configuration names one.
    pub fn eos_id(&self) -> Option<u32> {
        self.eos_id
    }

    /// Id of the padding token, where the configuration names one.
    pub fn pad_id(&self) -> Option<u32> {
        self.pad_id
    }

    /// Text of the token that ends a completion.
    pub fn eos_token(&self) -> Option<&str> {
        self.specials.get("eos_token").map(String::as_str)
    }

    /// Whether there is a chat template.
    pub fn has_template(&self) -> bool {
        self.template.is_some()
    }

    /// Highest token id plus 1.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// SHA-256 over names and bytes of the tokenizer's files, in hexadecimal: what a checkpoint should record.
    pub fn hash(&self) -> String {
        let parts: Vec<&[u8]> = self.files.iter().flat_map(|(name, bytes)| [name.as_bytes(), &bytes[..]]).collect();
        hex(&of_parts(&parts))
    }

    /// Writes the tokenizer's files to a folder, byte for byte as they were loaded or trained.
    ///
    /// # Errors
    /// Where the folder or a file cannot be written.
    pub fn save(&self, dir: &Path) -> Result<(), DataError> {
        let failed = |path: &Path, error: &std::io::Error| DataError::File {
            path: path.to_owned(),
            reason: format!("cannot be written: {error}"),
        };
        std::fs::create_dir_all(dir).map_err(|error| failed(dir, &error))?;
        for (name, bytes) in &self.files {
            let path = dir.join(name);
            std::fs::write(&path, bytes).map_err(|error| failed(&path, &error))?;
        }
        Ok(())
    }

    /// True where a text writes out a special token, which encoding will take for the token itself.
    fn writes_special(&self, text: &str) -> bool {
        self.special_texts.iter().any(|special| text.contains(special.as_str()))
    }

    fn failed(&self, error: &dyn std::error::Error) -> DataError {
        DataError::Tokenizer { name: self.name.clone(), reason: error.to_string() }
    }
}
