//! Data, tokenizer and model, checked before anything is written.
mod asked;
mod model;
mod prompts;
mod records;

use super::direction::{Grid, Mixes};
use super::folder::Provenance;
use super::revision::Request;
use crate::config::Experiment;
use crate::error::XtaskError;
pub(in crate::experiment) use asked::fresh_options;
pub(crate) use model::versions;
use model::{model, model_hashes, tokenizer};
pub(crate) use prompts::text_of;
use prompts::{encoded, prompts, questions, shown};
use records::{Records, from_file, from_questions, from_world};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tropism_data::audit::Audit;
use tropism_data::record::{Pair, Text};
use tropism_data::text::{BetweenTurns, PrepareOptions, Tokenizer, tokenize_episodes, tokenize_pairs, tokenize_samples};
use tropism_data::tokens::{LengthOptions, TokenPair, TokenSample, check_vocab, check_vocab_samples};
use tropism_evaluation::safety::ProvenanceVeto;
use tropism_lm::{Config, Decoder, LanguageHeads, Loaded, copy_tokenizer_files};
use tropism_rewards::{Circle, Reward};
use tropism_trainer::DistilOptions;
use tropism_trainer::{
    AnyStage, Between, Environment, PromptRow, RewardFunction, RolloutOptions, RowKind, Rows, Stage, WeightedReward,
};
use tropism_worlds::Difficulty;

/// The float type of runs.
pub(in crate::experiment) type Model = Decoder<Loaded, f32>;
/// The same with a head for each of several objectives.
pub(in crate::experiment) type ModelHeads = LanguageHeads<Loaded, f32>;

/// The role in which a world speaks; every chat template knows it.
const SAYS: &str = "user";

/// A held-out prompt that is answered after each stage.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// its tokens, the opening of the answer included
    pub tokens: Vec<u32>,
    /// what the report shows
    pub text: String,
    /// the question as it was asked
    pub question: Text,
    /// how hard it is, in a world that tells
    pub difficulty: Option<Difficulty>,
    /// the known truth of its answer
    pub truth: Option<String>,
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
    /// rows of stages that learn from pairs as revisions of each other
    pub revisions: Rows,
    /// what asks for a revision
    pub(in crate::experiment) request: Option<Request>,
    /// held-out pairs
    pub test: Vec<TokenPair>,
    /// held-out prompts
    pub prompts: Vec<Prompt>,
    /// prompts that stages sample from
    pub questions: Vec<PromptRow>,
    /// the same for stages whose groups hold the data's pairs
    pub paired: Vec<PromptRow>,
    /// prompts of the stages with directions, by the stage's name
    pub(in crate::experiment) directed: Vec<asked::Directed>,
    /// held-out prompts at every direction
    pub grid: Option<Grid>,
    /// mixes of heads by which held-out prompts are answered
    pub mixes: Option<Mixes>,
    /// the embedded task
    pub world: Option<Arc<dyn Reward>>,
    /// what keeps held-out answers from repeating a corpus
    pub veto: Option<ProvenanceVeto>,
    /// what happened to the rows, by part of the data
    pub audit: BTreeMap<String, Audit>,
    hashes: BTreeMap<String, String>,
}

/// A kind of stage that this command has no way to run.
pub(in crate::experiment) fn unknown(stage: &AnyStage) -> XtaskError {
    XtaskError::usage(format!("stage `{}` is of a kind that cannot be run here", stage.name()), "please report it")
}

/// Reads, splits and tokenises the data, and loads or makes tokenizer and model.
///
/// # Errors
/// The first thing that is wrong, by file, row or key.
pub fn prepare(mut config: Experiment) -> Result<Prepared, XtaskError> {
    let start = config.model.path.as_deref().map(Config::read).transpose()?;
    let mut records = match (&config.world, &config.data.questions) {
        (Some(world), _) => from_world(&config, world)?,
        (None, Some(questions)) => from_questions(&config, questions)?,
        (None, None) => from_file(&config)?,
    };
    if config.evaluation.turn_tokens.is_some() && !records.episodes() {
        let problem = "`evaluation.turn_tokens` is set, but answers have one turn here";
        return Err(XtaskError::usage(problem, "remove it, or set a world of several turns: world.sokoban or world.lookup"));
    }
    let tokenizer = tokenizer(&config, &records)?;
    if config.data.questions.is_some() && !tokenizer.has_template() {
        records.without_template();
    }
    let positions =
        start.as_ref().map(|c| c.sizes.positions).or(config.model.new.as_ref().map(|n| n.max_position_embeddings));
    if let Some(most) = positions {
        config.data.max_length = Some(config.data.max_length.map_or(most, |l| l.min(most)));
    }
    let length = LengthOptions { max_length: config.data.max_length, truncation: config.data.truncation };
    let options = PrepareOptions { length, boundary: config.data.boundary };
    let mut audit = std::mem::take(&mut records.audit);
    let mut cut = |part: &str, found: Audit| audit.entry(part.into()).or_default().then(&found);
    // a world may be asked for none
    let mut pairs_of = |part: &str, records: &[Pair]| -> Result<Vec<TokenPair>, XtaskError> {
        if records.is_empty() {
            return Ok(vec![]);
        }
        let (pairs, audit) = tokenize_pairs(&tokenizer, records, options)?;
        cut(part, audit);
        Ok(pairs)
    };
    let (pairs, test) = (pairs_of("pairs", &records.pairs)?, pairs_of("test_pairs", &records.test)?);
    let samples: Vec<TokenSample> = match &records.samples {
        Some(samples) if samples.is_empty() => vec![],
        Some(samples) => {
            let tokenize = if records.episodes() { tokenize_episodes } else { tokenize_samples };
            let (samples, audit) = tokenize(&tokenizer, samples, options)?;
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
    let veto = config.evaluation.veto.as_ref().map(|v| v.read(&tokenizer, vocab, &pairs, &samples)).transpose()?;
    let stops = ends(&model, &tokenizer);
    let request = config.revision.as_ref().map(|r| Request::new(r, &tokenizer, &stops)).transpose()?;
    let mut revisions = Rows::Revisions(vec![]);
    let revising = |s: &AnyStage| s.objective().is_some_and(|o| RowKind::of(o) == Some(RowKind::Revisions));
    if let Some(stage) = config.stages.iter().find(|s| revising(s)) {
        let request = request.as_ref().ok_or_else(|| {
            let problem = format!("stage `{}` learns from revisions, but `revision` is not set", stage.name());
            XtaskError::usage(problem, "add a [revision] table, with a request for a better answer if you like")
        })?;
        let (rows, found) = request.rows(&pairs, model.config().sizes.positions);
        audit.insert("revisions".into(), found);
        revisions = rows;
    }
    let lengths = pairs.iter().map(TokenPair::len).chain(samples.iter().map(TokenSample::len));
    let longest = lengths.chain(revisions.lengths()).max();
    let (prompts, found) = prompts(&config, &tokenizer, &records, &model)?;
    audit.insert("prompts".into(), found);
    let (questions, found) = questions(&config, &tokenizer, &records, &model)?;
    if online(&config).next().is_some() {
        audit.insert("questions".into(), found);
    }
    let mut paired = vec![];
    if let Some((rows, found)) = asked::paired(&config, &questions, &pairs, &stops) {
        paired = rows;
        audit.insert("questions of pairs".into(), found);
    }
    let positions = model.config().sizes.positions;
    let mut directed = vec![];
    for (stage, found) in asked::directed(&config, &tokenizer, &records.questions, positions)? {
        audit.insert(format!("questions of {}", stage.0), found);
        directed.push(stage);
    }
    let with_heads: Vec<_> = config.stages.iter().filter_map(fresh_options).filter(|o| o.heads.is_some()).collect();
    if !with_heads.is_empty() {
        if veto.is_some() {
            let problem = "stages with `heads` are answered by mixes of them, which `evaluation.veto` does not go with";
            return Err(XtaskError::usage(problem, "leave one of the two out"));
        }
        // refuses a model that cannot have several
        LanguageHeads::new(&model, 1, 0.0, 0)?;
    }
    let mixes = with_heads.first().map(|o| Mixes::of(o));
    let grid = asked::grid(&config, &tokenizer, &prompts, positions)?;
    let asked = questions.iter().chain(directed.iter().flat_map(|(_, rows)| rows)).map(|q| q.tokens.len()).max();
    super::memory::fit(&mut config, &model, longest.unwrap_or(0), asked.unwrap_or(0))?;
    records.hashes.insert("tokenizer".into(), tokenizer.hash());
    if let Some(folder) = &config.model.path {
        model_hashes(folder, &mut records.hashes)?;
    }
    let mut objectives = config.stages.iter().filter_map(AnyStage::objective);
    let unpaired = objectives.any(|o| RowKind::of(o) == Some(RowKind::Unpaired));
    let unpaired = Rows::unpaired(if unpaired { &pairs } else { &[] });
    let (pairs, samples) = (Rows::Pairs(pairs), Rows::Samples(samples));
    let Records { world, hashes, .. } = records;
    let prepared = Prepared {
        config,
        tokenizer,
        model,
        pairs,
        samples,
        unpaired,
        revisions,
        request,
        test,
        prompts,
        questions,
        paired,
        directed,
        grid,
        mixes,
        world,
        veto,
        audit,
        hashes,
    };
    for stage in &prepared.config.stages {
        match stage {
            AnyStage::Rows(s) => {
                let rows = prepared.rows(s)?;
                s.check_rows(&rows)?;
                s.check_split(&rows, prepared.config.seed)?;
            }
            AnyStage::PolicyGradient(s) => prepared.sampled_by(|e| s.check_prompts(&prepared.questions, e))?,
            AnyStage::OnlinePreference(s) | AnyStage::RejectionSampling(s) => {
                prepared.sampled_by(|e| s.check_prompts(prepared.asked(s), e))?;
            }
            AnyStage::RewardModel(s) => s.check_rows(prepared.pairs_of(s)?.as_ref())?,
            AnyStage::Distil(s) => prepared.check_distil(s)?,
            other => return Err(unknown(other)),
        }
    }
    prepared.check_models()?;
    Ok(prepared)
}

/// How the stages that sample do it, and what they rate completions by.
fn online(config: &Experiment) -> impl Iterator<Item = (&RolloutOptions, &BTreeMap<String, WeightedReward>)> {
    config.stages.iter().filter_map(AnyStage::sampling)
}

impl Prepared {
    /// The rows that a stage learns from.
    ///
    /// # Errors
    /// A stage of a curriculum that the data do not have.
    pub(in crate::experiment) fn rows(&self, stage: &Stage) -> Result<Cow<'_, Rows>, XtaskError> {
        let rows = match RowKind::of(&stage.objective) {
            Some(RowKind::Samples) => &self.samples,
            Some(RowKind::Unpaired) => &self.unpaired,
            Some(RowKind::Revisions) => &self.revisions,
            _ => &self.pairs,
        };
        let rows = self.of_data_stage(rows, stage)?;
        Ok(if stage.swap_pairs { Cow::Owned(rows.swapped()) } else { rows })
    }

    fn of_data_stage<'r, O>(&self, rows: &'r Rows, stage: &Stage<O>) -> Result<Cow<'r, Rows>, XtaskError> {
        let Some(number) = stage.data_stage else { return Ok(Cow::Borrowed(rows)) };
        match rows.of_data_stage(number).filter(|rows| !rows.is_empty()) {
            Some(rows) => Ok(Cow::Owned(rows)),
            None => Err(XtaskError::usage(
                format!("stage `{}`: the data have no pairs of `data_stage` {number}", stage.name),
                "prepare the data with a curriculum of stages (column `stage`, from 0), or leave it out",
            )),
        }
    }

    /// The pairs that a stage learns from.
    ///
    /// # Errors
    /// As [`Prepared::rows`].
    pub(in crate::experiment) fn pairs_of<O>(&self, stage: &Stage<O>) -> Result<Cow<'_, Rows>, XtaskError> {
        self.of_data_stage(&self.pairs, stage)
    }

    /// The preferred completions that a stage learns from.
    pub(in crate::experiment) fn chosen_of<O>(&self, stage: &Stage<O>) -> Result<Vec<TokenSample>, XtaskError> {
        Ok(match self.pairs_of(stage)?.as_ref() {
            Rows::Pairs(pairs) => pairs.iter().map(TokenPair::chosen_sample).collect(),
            _ => vec![],
        })
    }

    /// Whether there is something to distil on.
    fn check_distil(&self, stage: &Stage<DistilOptions>) -> Result<(), XtaskError> {
        let (rows, what) = match stage.objective.on_policy() {
            true => (self.questions.len(), "prompts"),
            false => (self.chosen_of(stage)?.len(), "pairs"),
        };
        if rows > 0 {
            return Ok(());
        }
        let problem = format!("stage `{}` has no {what} to distil on", stage.name);
        Err(XtaskError::usage(problem, "look at the audit of the data; a rollout makes it sample its completions"))
    }

    /// Whether the reward models in folders fit this run.
    fn check_models(&self) -> Result<(), XtaskError> {
        let functions = online(&self.config).flat_map(|(_, rewards)| rewards.values()).map(|r| &r.function);
        for wanted in functions.filter_map(RewardFunction::model) {
            if let Some(folder) = &wanted.folder {
                super::reward::check_folder(wanted, folder, &self.tokenizer, self.model.config().sizes.vocab)?;
            }
        }
        Ok(())
    }

    /// Calls `f` with what completions are ended, read and rated by.
    pub(in crate::experiment) fn sampled_by<T>(&self, f: impl FnOnce(&Environment) -> T) -> T {
        let (stops, tokenizer) = (self.stops(), &self.tokenizer);
        let decode = |tokens: &[u32]| text_of(tokenizer, tokens, &stops).map_err(|e| e.to_string());
        let turns = BetweenTurns::new(tokenizer, SAYS).map_err(|e| e.to_string());
        let between = |text: &str, last: Option<u32>| {
            let turns = turns.as_ref().map_err(Clone::clone)?;
            turns.tokens(text, last).map_err(|e| e.to_string())
        };
        let companions = |folder: &Path| self.companions(folder).map_err(|e| e.to_string());
        let environment = Environment::new(&stops, &decode);
        let (world, between, companions) = (self.world.as_ref(), Some(&between as &Between<'_>), Some(&companions as _));
        f(&Environment { world, between, companions, ..environment })
    }

    /// What says whether a held-out answer is right: the first verifier among the rewards of the stages that sample.
    pub(in crate::experiment) fn verifier(&self) -> Option<&RewardFunction> {
        online(&self.config).flat_map(|(_, rewards)| rewards.values()).map(|r| &r.function).find(|f| f.is_verifier())
    }

    /// The first judge with preferences in a circle among the rewards of the stages that sample.
    pub(in crate::experiment) fn circle(&self) -> Option<&Circle> {
        online(&self.config).flat_map(|(_, rewards)| rewards.values()).find_map(|r| match &r.function {
            RewardFunction::Circle(judge) => Some(judge),
            _ => None,
        })
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
        ends(&self.model, &self.tokenizer)
    }
}

fn ends(model: &Model, tokenizer: &Tokenizer) -> Vec<u32> {
    let mut stops = model.config().eos.clone();
    stops.extend(tokenizer.eos_id());
    stops
}
