//! Data, tokenizer and model, checked before anything is written.
mod model;
mod records;

use super::folder::Provenance;
use crate::config::Experiment;
use crate::error::XtaskError;
pub(super) use model::versions;
use model::{model, model_hashes, tokenizer};
use records::{Records, from_file, from_world};
use std::collections::BTreeMap;
use std::path::Path;
use tropism_data::audit::Audit;
use tropism_data::record::{Message, Text};
use tropism_data::text::{PrepareOptions, Tokenizer, tokenize_pairs, tokenize_samples};
use tropism_data::tokens::{LengthOptions, TokenPair, TokenSample, check_vocab, check_vocab_samples};
use tropism_lm::{Config, Decoder, Loaded, copy_tokenizer_files};
use tropism_objectives::Objective;
use tropism_trainer::{RowKind, Rows};
use tropism_worlds::{Arithmetic, Task};

/// The float type of runs.
pub(in crate::experiment) type Model = Decoder<Loaded, f32>;

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
    let length = LengthOptions { max_length: config.data.max_length, truncation: config.data.truncation };
    let options = PrepareOptions { length, boundary: config.data.boundary };
    let mut cut = |part: &str, audit: Audit| records.audit.entry(part.into()).or_default().then(&audit);
    let (pairs, audit) = tokenize_pairs(&tokenizer, &records.pairs, options)?;
    cut("pairs", audit);
    let (test, audit) = tokenize_pairs(&tokenizer, &records.test, options)?;
    cut("test_pairs", audit);
    let samples: Vec<TokenSample> = match &records.samples {
        Some(samples) => {
            let (samples, audit) = tokenize_samples(&tokenizer, samples, options)?;
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
        let tokens = tokenizer.encode_prompt(text, &[])?;
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

impl Prepared {
    /// The rows that an objective learns from.
    pub(in crate::experiment) fn rows(&self, objective: &Objective) -> &Rows {
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
    pub(in crate::experiment) fn companions(&self, folder: &Path) -> Result<(), XtaskError> {
        if let Some(path) = &self.config.model.path {
            copy_tokenizer_files(path, folder)?;
        }
        Ok(self.tokenizer.save(folder)?)
    }

    /// Ids that end an answer.
    pub(in crate::experiment) fn stops(&self) -> Vec<u32> {
        let mut stops = self.model.config().eos.clone();
        stops.extend(self.tokenizer.eos_id());
        stops
    }
}
