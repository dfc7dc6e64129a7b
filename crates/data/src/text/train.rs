//! Training of a small byte-level BPE tokenizer.

use std::collections::BTreeMap;

use serde_json::json;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, TokenizerBuilder};

use super::Tokenizer;
use crate::DataError;

/// Special tokens, in the order of their ids.
const SPECIALS: [&str; 3] = ["<|im_start|>", "<|im_end|>", "<pad>"];

/// Special tokens and bytes: the least vocabulary there is.
const SMALLEST: usize = SPECIALS.len() + 256;

/// ChatML: each turn between start and end mark, closed by a line break.
const CHATML: &str = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + \
     '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

impl Tokenizer {
    /// Trains a byte-level BPE tokenizer with a ChatML template.
    ///
    /// Ids: `<|im_start|>` 0, `<|im_end|>` 1 (EOS), `<pad>` 2, the 256 bytes, then merges by frequency up to `vocab_size`
    /// entries; fewer where the texts have no more pairs that occur twice. The same texts give the same tokenizer. The
    /// files written by [`Tokenizer::save`] are in Hugging Face's format.
    ///
    /// # Errors
    /// A `vocab_size` below 259, which special tokens and bytes alone need.
    pub fn train<'a>(texts: impl Iterator<Item = &'a str> + Send, vocab_size: usize) -> Result<Self, DataError> {
        if vocab_size < SMALLEST {
            let reason = format!("must be at least {SMALLEST}: {} special tokens and 256 bytes", SPECIALS.len());
            return Err(DataError::config("vocab_size", vocab_size, reason));
        }
        let json = train_json(texts, vocab_size)
            .map_err(|error| DataError::Tokenizer { name: "training".to_owned(), reason: error.to_string() })?;
        let files =
            [("tokenizer.json".to_owned(), json.into_bytes()), ("tokenizer_config.json".to_owned(), config().into_bytes())];
        Self::from_files("trained here", BTreeMap::from(files))
    }
}

fn train_json<'a>(texts: impl Iterator<Item = &'a str> + Send, vocab_size: usize) -> tokenizers::Result<String> {
    let mut trainer = BpeTrainerBuilder::new()
        .show_progress(false)
        .vocab_size(vocab_size)
        .min_frequency(2)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(SPECIALS.map(|token| AddedToken::from(token, true)).to_vec())
        .build();
    let mut tokenizer = TokenizerBuilder::<BPE, tokenizers::NormalizerWrapper, ByteLevel, ByteLevel, ByteLevel>::new()
        .with_model(BPE::default())
        .with_normalizer(None)
        .with_pre_tokenizer(Some(ByteLevel::new(false, true, true)))
        .with_post_processor(Some(ByteLevel::new(true, false, true)))
        .with_decoder(Some(ByteLevel::new(true, true, true)))
        .build()?;
    tokenizer.train(&mut trainer, texts)?.to_string(true)
}

/// `tokenizer_config.json` of a trained tokenizer.
fn config() -> String {
    let token = |content: &str| {
        json!({"content": content, "lstrip": false, "normalized": false, "rstrip": false,
               "single_word": false, "special": true})
    };
    let config = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": false,
        "bos_token": null,
        "eos_token": SPECIALS[1],
        "pad_token": SPECIALS[2],
        "unk_token": null,
        "additional_special_tokens": [SPECIALS[0]],
        "chat_template": CHATML,
        "added_tokens_decoder": {"0": token(SPECIALS[0]), "1": token(SPECIALS[1]), "2": token(SPECIALS[2])},
    });
    format!("{config:#}\n")
}
