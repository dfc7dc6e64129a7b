//! Tokenizer and model, loaded or made.
use super::Model;
use super::records::Records;
use crate::config::{Experiment, NewModel};
use crate::error::XtaskError;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use tropism_data::read::file_hash;
use tropism_data::record::Text;
use tropism_data::text::Tokenizer;
use tropism_lm::{Config, Decoder, Loaded, Sizes, load};

/// Given by folder, the model's own, or trained on the training rows.
pub(super) fn tokenizer(config: &Experiment, records: &Records) -> Result<Tokenizer, XtaskError> {
    if let Some(folder) = config.model.tokenizer.as_deref().or(config.model.path.as_deref()) {
        return Ok(Tokenizer::load(folder)?);
    }
    let size = config.model.new.as_ref().map_or(0, |n| n.vocab_size);
    let mut texts: Vec<&str> = vec![];
    for p in &records.pairs {
        [&p.prompt, &p.chosen, &p.rejected].into_iter().for_each(|t| contents(t, &mut texts));
    }
    for s in records.samples.iter().flatten() {
        [&s.prompt, &s.completion].into_iter().for_each(|t| contents(t, &mut texts));
    }
    Ok(Tokenizer::train(texts.into_iter(), size)?)
}

fn contents<'a>(text: &'a Text, out: &mut Vec<&'a str>) {
    match text {
        Text::Plain(t) => out.push(t),
        Text::Chat(messages) => out.extend(messages.iter().map(|m| m.content.as_str())),
    }
}

/// Hashes of a model folder's configuration and weight files.
pub(super) fn model_hashes(folder: &Path, hashes: &mut BTreeMap<String, String>) -> Result<(), XtaskError> {
    for entry in std::fs::read_dir(folder).map_err(XtaskError::io(folder))? {
        let path = entry.map_err(XtaskError::io(folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name == "config.json" || name.ends_with(".safetensors") {
            hashes.insert(format!("model/{name}"), file_hash(&path)?);
        }
    }
    Ok(())
}

/// Loaded, or new with random weights.
pub(super) fn model(config: &Experiment, tokenizer: &Tokenizer) -> Result<Model, XtaskError> {
    let mut model = match (&config.model.path, &config.model.new) {
        (Some(path), _) => load(path, |c| Ok(Loaded::new(c)))?,
        (None, Some(new)) => Decoder::random(Loaded::new(fresh(new, tokenizer)?), config.seed)?,
        (None, None) => return Err(XtaskError::usage("there is no model", "set model.path or model.new")),
    };
    // the saved folder stops where the tokenizer's turns end
    if let (Some(eos), None) = (tokenizer.eos_id(), &config.model.path) {
        model.config_mut().set("eos_token_id", json!(eos));
        model.config_mut().set("pad_token_id", json!(tokenizer.pad_id()));
    }
    Ok(model)
}

fn fresh(new: &NewModel, tokenizer: &Tokenizer) -> Result<Config, XtaskError> {
    let heads = new.num_attention_heads.max(1);
    let sizes = Sizes {
        vocab: tokenizer.vocab_size(),
        hidden: new.hidden_size,
        ff: new.intermediate_size,
        layers: new.num_hidden_layers,
        heads: new.num_attention_heads,
        kv_heads: new.num_key_value_heads,
        head_dim: new.hidden_size / heads,
        positions: new.max_position_embeddings,
    };
    Ok(Config::new(sizes, new.tie_word_embeddings)?.with_initializer_range(new.initializer_range))
}

/// Versions of the libraries that results depend on, as locked.
pub(crate) fn versions() -> BTreeMap<String, String> {
    let lock = include_str!("../../../../Cargo.lock");
    let field = |entry: &str, key: &str| {
        let line = entry.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(" = "))?;
        Some(line.trim_matches('"').to_owned())
    };
    let wanted = ["dfdx", "gemm", "polars", "rand_chacha", "safetensors", "tokenizers", "minijinja"];
    let entries = lock.split("[[package]]").filter_map(|e| Some((field(e, "name")?, field(e, "version")?)));
    entries.filter(|(name, _)| wanted.contains(&name.as_str())).collect()
}
