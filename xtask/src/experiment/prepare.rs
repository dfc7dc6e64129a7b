//! Data, tokenizer and model, checked before anything is written.
use super::folder::Provenance;
use crate::config::{Experiment, NewModel, World};
use crate::error::XtaskError;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use tropism_data::audit::Audit;
use tropism_data::read::{ReadOptions, file_hash, read_pairs};
use tropism_data::record::{Message, Pair, Sample, Text};
use tropism_data::split::split_by_prompt;
use tropism_data::text::{Tokenizer, tokenize_pairs, tokenize_samples};
use tropism_data::tokens::{LengthOptions, TokenPair, TokenSample, check_vocab, check_vocab_samples};
use tropism_lm::{Config, Decoder, Loaded, Sizes, copy_tokenizer_files, load};
use tropism_objectives::{Objective, Per};
use tropism_trainer::{RowKind, Rows, Stage};
use tropism_worlds::{Arithmetic, Task};

/// The float type of runs.
pub(super) type Model = Decoder<Loaded, f32>;

/// A held-out prompt that is answered after each stage.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// its tokens, the opening of the answer included
    pub tokens: Vec<u32>,
    /// what the report shows
    pub text: String,
    /// the task it belongs to, in a world
    pub task: Option<Task>,
}

/// Everything that a run needs.
pub struct Prepared {
    /// the configuration, with every automatic choice made
    pub config: Experiment,
    /// the tokenizer
    pub tokenizer: Tokenizer,
    /// the model at the start
    pub model: Model,
    /// rows of pairwise stages
    pub pairs: Rows,
    /// rows of supervised stages
    pub samples: Rows,
    /// rows of stages that learn from single completions, desirable or not
    pub unpaired: Rows,
    /// held-out pairs
    pub test: Vec<TokenPair>,
    /// held-out prompts
    pub prompts: Vec<Prompt>,
    /// the embedded task
    pub world: Option<Arithmetic>,
    /// what happened to the rows, by part of the data
    pub audit: BTreeMap<String, Audit>,
    hashes: BTreeMap<String, String>,
}

/// Records before tokenisation.
struct Records {
    pairs: Vec<Pair>,
    test: Vec<Pair>,
    /// nothing: the chosen sides are learnt
    samples: Option<Vec<Sample>>,
    prompts: Vec<(Text, Option<Task>)>,
    world: Option<Arithmetic>,
    audit: BTreeMap<String, Audit>,
    hashes: BTreeMap<String, String>,
}

/// Reads, splits and tokenises the data, and loads or makes tokenizer and model.
///
/// # Errors
/// The first thing that is wrong, by file, row or key.
pub fn prepare(mut config: Experiment) -> Result<Prepared, XtaskError> {
    let start = config.model.path.as_deref().map(Config::read).transpose()?;
    let mut records = match &config.world {
        Some(world) => from_world(&config, world)?,
        None => from_file(&config)?,
    };
    let tokenizer = tokenizer(&config, &records)?;
    let positions =
        start.as_ref().map(|c| c.sizes.positions).or(config.model.new.as_ref().map(|n| n.max_position_embeddings));
    if let Some(most) = positions {
        config.data.max_length = Some(config.data.max_length.map_or(most, |l| l.min(most)));
    }
    let lengths = LengthOptions { max_length: config.data.max_length, truncation: config.data.truncation };
    let mut cut = |part: &str, audit: Audit| records.audit.entry(part.into()).or_default().then(&audit);
    let (pairs, audit) = tokenize_pairs(&tokenizer, &records.pairs, &lengths)?;
    cut("pairs", audit);
    let (test, audit) = tokenize_pairs(&tokenizer, &records.test, &lengths)?;
    cut("test_pairs", audit);
    let samples: Vec<TokenSample> = match &records.samples {
        Some(samples) => {
            let (samples, audit) = tokenize_samples(&tokenizer, samples, &lengths)?;
            cut("samples", audit);
            samples
        }
        None => pairs.iter().map(TokenPair::chosen_sample).collect(),
    };
    let model = model(&config, &tokenizer)?;
    for stage in &config.stages {
        stage.adapt(model.clone(), 0)?;
    }
    let vocab = model.config().sizes.vocab;
    check_vocab(&pairs, vocab)?;
    check_vocab(&test, vocab)?;
    check_vocab_samples(&samples, vocab)?;
    let longest = pairs.iter().map(TokenPair::len).chain(samples.iter().map(TokenSample::len)).max();
    super::memory::fit(&mut config, &model, longest.unwrap_or(0))?;
    let (prompts, audit) = prompts(&config, &tokenizer, &records, &model)?;
    records.audit.insert("prompts".into(), audit);
    records.hashes.insert("tokenizer".into(), tokenizer.hash());
    if let Some(folder) = &config.model.path {
        model_hashes(folder, &mut records.hashes)?;
    }
    let unpaired = config.stages.iter().any(|s| RowKind::of(&s.objective) == Some(RowKind::Unpaired));
    let unpaired = Rows::unpaired(if unpaired { &pairs } else { &[] });
    let (pairs, samples) = (Rows::Pairs(pairs), Rows::Samples(samples));
    let Records { world, audit, hashes, .. } = records;
    let prepared = Prepared { config, tokenizer, model, pairs, samples, unpaired, test, prompts, world, audit, hashes };
    for stage in &prepared.config.stages {
        stage.check_rows(prepared.rows(&stage.objective))?;
    }
    Ok(prepared)
}

fn from_world(config: &Experiment, w: &World) -> Result<Records, XtaskError> {
    let world = Arithmetic::new(w.arithmetic.clone())?;
    let (train, test) = world.split(config.data.test_fraction, config.seed)?;
    let pairs = world.pairs(&train, w.pairs, w.noise, config.seed)?;
    // held-out pairs are clean: they measure what was learnt, not the noise
    let test_pairs = world.pairs(&test, w.test_pairs, 0.0, config.seed ^ 1)?;
    let samples = world.sft(&train, w.samples, config.seed)?;
    let count = |n: usize| Audit { read: n, kept: n, ..Audit::default() };
    let parts = [("pairs", pairs.len()), ("test_pairs", test_pairs.len()), ("samples", samples.len())];
    let audit = parts.into_iter().map(|(p, n)| (p.to_owned(), count(n))).collect();
    let prompts = test.into_iter().map(|t| (t.conversation(), Some(t))).collect();
    Ok(Records {
        pairs,
        test: test_pairs,
        samples: Some(samples),
        prompts,
        world: Some(world),
        audit,
        hashes: BTreeMap::new(),
    })
}

fn from_file(config: &Experiment) -> Result<Records, XtaskError> {
    let path = config.data.path.as_deref().unwrap_or(Path::new(""));
    let d = &config.data;
    let numbers = numbers(&config.stages);
    let options = ReadOptions { format: d.format, columns: d.columns.clone(), numbers, limit: d.limit };
    let (pairs, audit) = read_pairs(path, &options)?;
    let (pairs, test) = split_by_prompt(pairs, Pair::prompt_key, d.test_fraction, config.seed)?;
    let mut seen = BTreeSet::new();
    let prompts = test.iter().filter(|p| seen.insert(p.prompt_key())).map(|p| (p.prompt.clone(), None)).collect();
    let count = |n: usize| Audit { read: n, kept: n, ..Audit::default() };
    let audit = [("file", audit), ("pairs", count(pairs.len())), ("test_pairs", count(test.len()))];
    let hashes = BTreeMap::from([("data".to_owned(), file_hash(path)?)]);
    let audit = audit.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
    Ok(Records { pairs, test, samples: None, prompts, world: None, audit, hashes })
}

/// Columns of the file that the objectives read; a stage makes the others itself, or refuses.
fn numbers(stages: &[Stage]) -> Vec<String> {
    let pairs = stages.iter().filter(|s| RowKind::of(&s.objective) == Some(RowKind::Pairs));
    let columns = pairs.flat_map(|s| s.objective.columns()).filter(|c| c.per == Per::Row);
    columns.map(|c| c.name.to_owned()).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Given by folder, the model's own, or trained on the training rows.
fn tokenizer(config: &Experiment, records: &Records) -> Result<Tokenizer, XtaskError> {
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
fn model_hashes(folder: &Path, hashes: &mut BTreeMap<String, String>) -> Result<(), XtaskError> {
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
fn model(config: &Experiment, tokenizer: &Tokenizer) -> Result<Model, XtaskError> {
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

/// The prompts to answer: those that leave room for an answer, as many as asked for.
fn prompts(
    config: &Experiment,
    tokenizer: &Tokenizer,
    records: &Records,
    model: &Model,
) -> Result<(Vec<Prompt>, Audit), XtaskError> {
    let e = &config.evaluation;
    let room = model.config().sizes.positions.saturating_sub(e.sampling.max_new_tokens);
    let (mut out, mut audit) = (vec![], Audit::default());
    for (i, (text, task)) in records.prompts.iter().enumerate() {
        if out.len() == e.prompts {
            break;
        }
        let rendered = match text {
            Text::Plain(t) => t.clone(),
            Text::Chat(messages) => tokenizer.render(messages, true)?,
        };
        let tokens = tokenizer.encode(&rendered)?;
        if !tokens.is_empty() && tokens.len() <= room {
            audit.keep();
            out.push(Prompt { tokens, text: shown(text), task: task.clone() });
        } else {
            audit.drop_row("prompt leaves no room for an answer of max_new_tokens", i + 1);
        }
    }
    Ok((out, audit))
}

/// A prompt as people read it.
fn shown(text: &Text) -> String {
    match text {
        Text::Plain(t) => t.clone(),
        Text::Chat(messages) => match messages.as_slice() {
            [one] => one.content.clone(),
            all => all.iter().map(|m: &Message| format!("{}: {}", m.role, m.content)).collect::<Vec<_>>().join("\n"),
        },
    }
}

/// Versions of the libraries that results depend on, as locked.
pub(super) fn versions() -> BTreeMap<String, String> {
    let lock = include_str!("../../../Cargo.lock");
    let field = |entry: &str, key: &str| {
        let line = entry.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(" = "))?;
        Some(line.trim_matches('"').to_owned())
    };
    let wanted = ["dfdx", "gemm", "polars", "rand_chacha", "safetensors", "tokenizers", "minijinja"];
    let entries = lock.split("[[package]]").filter_map(|e| Some((field(e, "name")?, field(e, "version")?)));
    entries.filter(|(name, _)| wanted.contains(&name.as_str())).collect()
}

impl Prepared {
    /// The rows that an objective learns from.
    pub(super) fn rows(&self, objective: &Objective) -> &Rows {
        match RowKind::of(objective) {
            Some(RowKind::Samples) => &self.samples,
            Some(RowKind::Unpaired) => &self.unpaired,
            _ => &self.pairs,
        }
    }

    /// What the run is made from.
    pub fn provenance(&self) -> Provenance {
        Provenance { tropism: env!("CARGO_PKG_VERSION").to_owned(), versions: versions(), hashes: self.hashes.clone() }
    }

    /// Puts tokenizer files beside a saved model.
    pub(super) fn companions(&self, folder: &Path) -> Result<(), XtaskError> {
        if let Some(path) = &self.config.model.path {
            copy_tokenizer_files(path, folder)?;
        }
        Ok(self.tokenizer.save(folder)?)
    }

    /// Ids that end an answer.
    pub(super) fn stops(&self) -> Vec<u32> {
        let mut stops = self.model.config().eos.clone();
        stops.extend(self.tokenizer.eos_id());
        stops
    }
}
