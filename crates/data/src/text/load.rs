//! A tokenizer from its files.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use aho_corasick::AhoCorasick;
use serde_json::Value;

use super::Tokenizer;
use super::fast::Fast;
use super::policy::{self, Ends, TokenPolicy};
use super::template::{ChatTemplate, Shared, TemplateLimits};
use crate::DataError;

/// Files that belong to a tokenizer; only the first must be there.
const FILES: [&str; 6] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "generation_config.json",
    TEMPLATE_FILE,
    policy::FILE,
];

/// Name of a file that holds nothing but the chat template.
pub(super) const TEMPLATE_FILE: &str = "chat_template.jinja";

/// Special tokens that templates and preparation know by name.
const SPECIALS: [&str; 4] = ["bos_token", "eos_token", "pad_token", "unk_token"];

impl Tokenizer {
    /// Loads a tokenizer from a folder as Hugging Face's libraries write them.
    ///
    /// `tokenizer.json` must be there. Special tokens come from `tokenizer_config.json`, else from
    /// `special_tokens_map.json`, else by id from `generation_config.json` (the first, where it lists several). The chat
    /// template is `chat_template.jinja`, else the entry of `tokenizer_config.json` (of several, the one named `default`).
    /// A [`TokenPolicy`] comes from `token_policy.json`.
    ///
    /// # Errors
    /// A missing or unreadable file, one that is not valid, or a special token that the vocabulary does not have.
    pub fn load(dir: &Path) -> Result<Self, DataError> {
        let mut files = BTreeMap::new();
        for name in FILES {
            let path = dir.join(name);
            match std::fs::read(&path) {
                Ok(bytes) => {
                    files.insert(name.to_owned(), bytes);
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && name != FILES[0] => {}
                Err(error) => {
                    let reason = format!("cannot be read: {error}; a tokenizer folder holds tokenizer.json");
                    return Err(DataError::File { path, reason });
                }
            }
        }
        Self::from_files(&dir.display().to_string(), files)
    }

    /// A tokenizer from the contents of its files, by name; `name` stands in messages.
    pub(super) fn from_files(name: &str, files: BTreeMap<String, Vec<u8>>) -> Result<Self, DataError> {
        let fail = |reason: String| DataError::Tokenizer { name: name.to_owned(), reason };
        let inner = parse_tokenizer(&files).map_err(&fail)?;
        let highest = inner.get_vocab(true).into_values().max();
        let settings = Settings::parse(&files).map_err(&fail)?;
        let specials = settings.specials(&inner);
        let id = |key: &str| special_id(&inner, &specials, key).map_err(&fail);
        let (bos, eos, pad_id) = (id("bos_token")?, id("eos_token")?, id("pad_token")?);
        let adds_bos = bos.is_some_and(|bos| adds_first(&inner, bos));
        let ends = Ends { policy: policy_of(&files).map_err(&fail)?, bos, eos, adds_bos };
        ends.check().map_err(&fail)?;
        let special_texts = special_texts(&inner);
        let special_search = AhoCorasick::new(&special_texts).map_err(|error| fail(error.to_string()))?;
        let template = settings.template(&files).map_err(&fail)?;
        let fast = files.get(FILES[0]).and_then(|file| Fast::new(&inner, file)).map(Arc::new);
        Ok(Self {
            name: name.to_owned(),
            files,
            inner,
            fast,
            vocab_size: highest.map_or(0, |id| id as usize + 1),
            shared: Arc::new(Shared::new(&specials)),
            specials,
            special_search,
            ends,
            pad_id,
            template: template.map(|source| ChatTemplate::new(&source, TemplateLimits::default())),
        })
    }
}

fn policy_of(files: &BTreeMap<String, Vec<u8>>) -> Result<TokenPolicy, String> {
    match files.get(policy::FILE) {
        Some(bytes) => serde_json::from_slice(bytes).map_err(|error| format!("{}: {error}", policy::FILE)),
        None => Ok(TokenPolicy::default()),
    }
}

/// Whether the tokenizer's own settings put this token before a text.
fn adds_first(inner: &tokenizers::Tokenizer, bos: u32) -> bool {
    let with = |add| inner.encode_fast("a", add).map(|encoding| encoding.get_ids().to_vec()).unwrap_or_default();
    with(true).first() == Some(&bos) && with(false).first() != Some(&bos)
}

/// The tokenizer proper, without the limits stored in its file, which would cut and pad behind our back.
fn parse_tokenizer(files: &BTreeMap<String, Vec<u8>>) -> Result<tokenizers::Tokenizer, String> {
    let json = files.get(FILES[0]).ok_or("has no tokenizer.json")?;
    let parsed = tokenizers::Tokenizer::from_bytes(json);
    let mut inner = parsed.map_err(|error| format!("tokenizer.json: {error}"))?;
    inner.with_padding(None);
    inner.with_truncation(None).map_err(|error| error.to_string())?;
    Ok(inner)
}

/// Id of a named special token; none where the configuration names no such token.
fn special_id(inner: &tokenizers::Tokenizer, specials: &BTreeMap<String, String>, key: &str) -> Result<Option<u32>, String> {
    let Some(token) = specials.get(key) else {
        return Ok(None);
    };
    let id = inner.token_to_id(token);
    id.map(Some).ok_or_else(|| format!("{key} {token:?} is not in the vocabulary"))
}

/// Texts of all special tokens, in order.
fn special_texts(inner: &tokenizers::Tokenizer) -> Vec<String> {
    let tokens = inner.get_added_tokens_decoder().into_values();
    let special = tokens.filter(|token| token.special && !token.content.is_empty());
    let mut texts: Vec<String> = special.map(|token| token.content).collect();
    texts.sort_unstable();
    texts
}

/// Parsed configuration files; null where a file is missing.
struct Settings {
    config: Value,
    map: Value,
    generation: Value,
}

impl Settings {
    fn parse(files: &BTreeMap<String, Vec<u8>>) -> Result<Self, String> {
        let parse = |name: &str| match files.get(name) {
            Some(bytes) => serde_json::from_slice(bytes).map_err(|error| format!("{name}: {error}")),
            None => Ok(Value::Null),
        };
        Ok(Self { config: parse(FILES[1])?, map: parse(FILES[2])?, generation: parse(FILES[3])? })
    }

    fn specials(&self, inner: &tokenizers::Tokenizer) -> BTreeMap<String, String> {
        let find = |key: &str| {
            let by_text = [&self.config, &self.map].into_iter().find_map(|file| token_text(&file[key]));
            by_text.or_else(|| {
                let id = &self.generation[format!("{key}_id")];
                let id = id.as_u64().or_else(|| id.get(0)?.as_u64())?;
                inner.id_to_token(u32::try_from(id).ok()?)
            })
        };
        SPECIALS.iter().filter_map(|key| Some(((*key).to_owned(), find(key)?))).collect()
    }

    fn template(&self, files: &BTreeMap<String, Vec<u8>>) -> Result<Option<String>, String> {
        if let Some(bytes) = files.get(TEMPLATE_FILE) {
            let text = String::from_utf8(bytes.clone()).map_err(|error| format!("{TEMPLATE_FILE}: {error}"))?;
            return Ok(Some(text));
        }
        match &self.config["chat_template"] {
            Value::Null => Ok(None),
            Value::String(source) => Ok(Some(source.clone())),
            Value::Array(named) => named
                .iter()
                .find(|entry| entry["name"] == "default")
                .and_then(|entry| entry["template"].as_str())
                .map(|source| Some(source.to_owned()))
                .ok_or_else(|| "chat_template lists several templates, none of them named `default`".to_owned()),
            _ => Err("chat_template is neither text nor a list of named templates".to_owned()),
        }
    }
}

/// A token given as text or as an object with `content`.
fn token_text(value: &Value) -> Option<String> {
    let text = value.as_str().or_else(|| value["content"].as_str())?;
    Some(text.to_owned())
}
