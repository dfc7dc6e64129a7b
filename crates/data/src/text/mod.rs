//! Tokenizers, chat templates and the tokenisation of records.

mod boundary;
mod deep;
mod encode;
mod episode;
mod fast;
mod load;
mod mask;
mod policy;
mod prepare;
mod save;
mod stream;
mod template;
mod train;

use std::collections::BTreeMap;
use std::sync::Arc;

use aho_corasick::AhoCorasick;

pub use boundary::Boundary;
pub use episode::{BetweenTurns, tokenize_episodes};
pub use mask::{AssistantMask, tokenize_chat};
pub use policy::{Bos, Eos, TokenPolicy};
pub use prepare::{
    Preparation, PrepareOptions, TextGroup, tokenize_groups, tokenize_pair, tokenize_pairs, tokenize_sample,
    tokenize_samples,
};
pub use stream::{PreparedPairs, prepare_pairs};
pub use template::{BuiltIn, ChatTemplate, TemplateLimits};

use crate::DataError;
use crate::record::{Message, Text, Value};
use fast::{Fast, Worker};
use policy::Ends;
use template::{Chat, Shared, tools, turns};

/// A tokenizer with its special tokens and, where it has one, its chat template.
///
/// [`Tokenizer::encode`] never adds special tokens by itself, and special tokens written in a text (as templates do) become
/// their ids. Which token begins and ends a sequence is one [`TokenPolicy`] for every use; [`Tokenizer::encode_prompt`] and
/// the preparation of records follow it. The files that it was made of are kept and saved unchanged.
///
/// Byte-level BPE in the arrangements of GPT-2, Llama 3, Qwen and SmolLM takes a fast path with the same ids as the
/// tokenizers library; any other tokenizer is the library's own, at the library's speed ([`Tokenizer::is_fast`]).
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
    fast: Option<Arc<Fast>>,
    vocab_size: usize,
    specials: BTreeMap<String, String>,
    shared: Arc<Shared>,
    special_search: AhoCorasick,
    ends: Ends,
    pad_id: Option<u32>,
    template: Option<ChatTemplate>,
}

/// Texts that a worker takes at a time.
const SHARE: usize = 32;

impl Tokenizer {
    /// Ids of a text. No special token is added; those written in the text are recognised.
    ///
    /// # Errors
    /// Where the tokenizer cannot encode the text, for instance by an unknown token without fallback.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, DataError> {
        self.with_worker(|worker| self.encode_with(worker, text))
    }

    /// Ids of many texts, on all cores.
    ///
    /// # Errors
    /// As for [`Tokenizer::encode`].
    pub fn encode_batch(&self, texts: &[String]) -> Result<Vec<Vec<u32>>, DataError> {
        let ids = self.share_out(texts, |worker, text| self.encode_with(worker, text))?;
        ids.into_iter().collect()
    }

    /// Ids of a prompt, as a model is to continue it: messages by the chat template with the opening of an assistant turn,
    /// plain text as it stands; BOS by the [`TokenPolicy`].
    ///
    /// # Errors
    /// As for [`Tokenizer::render`] and [`Tokenizer::encode`].
    pub fn encode_prompt(&self, prompt: &Text, tools: &[Value]) -> Result<Vec<u32>, DataError> {
        let mut ids = match prompt {
            Text::Plain(text) => self.encode(text)?,
            Text::Chat(messages) => self.encode(&self.render_with_tools(messages, tools, true)?)?,
        };
        self.ends.begin(&mut ids, None, prompt.is_chat());
        Ok(ids)
    }

    /// The tokenizer without its fast path: every text goes through the library. The ids are the same; this is what the fast
    /// path is tested and measured against.
    pub fn by_library(mut self) -> Self {
        self.fast = None;
        self
    }

    fn encode_by_library(&self, text: &str) -> Result<Vec<u32>, DataError> {
        let encoding = self.inner.encode_fast(text, false).map_err(|error| self.failed(&*error))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Whether texts take the fast path.
    pub fn is_fast(&self) -> bool {
        self.fast.is_some()
    }

    fn encode_with(&self, worker: &mut Option<Worker>, text: &str) -> Result<Vec<u32>, DataError> {
        match (&self.fast, worker) {
            (Some(fast), Some(worker)) => {
                let mut ids = Vec::with_capacity(text.len() / 3);
                fast.encode(&self.inner, worker, text, &mut ids).map_err(|error| self.failed(&*error))?;
                Ok(ids)
            }
            _ => self.encode_by_library(text),
        }
    }

    /// Lends a worker of the fast path, where there is one.
    fn with_worker<T>(&self, work: impl FnOnce(&mut Option<Worker>) -> T) -> T {
        let mut worker = self.fast.as_deref().map(Fast::worker);
        let done = work(&mut worker);
        if let (Some(fast), Some(worker)) = (&self.fast, worker) {
            fast.give_back(worker);
        }
        done
    }

    /// Does something with each item, on all cores; the results are in the order of the items.
    fn share_out<T: Sync, R: Send>(
        &self,
        items: &[T],
        each: impl Fn(&mut Option<Worker>, &T) -> R + Sync,
    ) -> Result<Vec<R>, DataError> {
        deep::share_out(self.stack(), items, SHARE, |share| {
            self.with_worker(|worker| share.iter().map(|item| each(worker, item)).collect())
        })
    }

    /// Does something that renders by the template.
    fn on_deep_stack<R: Send>(&self, work: impl FnOnce() -> R + Send) -> Result<R, DataError> {
        deep::on_deep_stack(self.stack(), work)
    }

    fn stack(&self) -> usize {
        deep::stack_for(self.template.as_ref().map_or(0, |template| template.limits().work))
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
    /// Where there is no template, or the template cannot be compiled, refuses the messages or goes beyond its limits.
    pub fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String, DataError> {
        self.render_with_tools(messages, &[], add_generation_prompt)
    }

    /// As [`Tokenizer::render`], with the tools that the assistant may call.
    ///
    /// # Errors
    /// As there; tools for a template that does not show any.
    pub fn render_with_tools(
        &self,
        messages: &[Message],
        offered: &[Value],
        add_generation_prompt: bool,
    ) -> Result<String, DataError> {
        let template = self.chat_template()?;
        let chat = Chat { turns: turns(messages), tools: tools(offered), open: add_generation_prompt };
        self.on_deep_stack(|| template.render(&chat, &self.shared))?
    }

    /// The chat template.
    ///
    /// # Errors
    /// Where there is none.
    pub fn chat_template(&self) -> Result<&ChatTemplate, DataError> {
        self.template.as_ref().ok_or_else(|| {
            let reason = format!("tokenizer {} has none; use plain text or add a chat_template.jinja", self.name);
            DataError::Template { reason }
        })
    }

    /// The token policy.
    pub fn policy(&self) -> TokenPolicy {
        self.ends.policy
    }

    /// Id of the token that begins a text, where the configuration names one.
    pub fn bos_id(&self) -> Option<u32> {
        self.ends.bos
    }

    /// Id of the token that ends a completion, where the configuration names one.
    pub fn eos_id(&self) -> Option<u32> {
        self.ends.eos
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

    /// True where a text writes out a special token, which encoding will take for the token itself.
    fn writes_special(&self, text: &str) -> bool {
        self.special_search.is_match(text)
    }

    fn failed(&self, error: &(dyn std::error::Error + Send + Sync + 'static)) -> DataError {
        DataError::Tokenizer { name: self.name.clone(), reason: error.to_string() }
    }
}
