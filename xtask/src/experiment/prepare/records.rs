//! Rows before tokenisation, from a file or a world.
use crate::config::{Experiment, World};
use crate::error::XtaskError;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use tropism_data::audit::Audit;
use tropism_data::output::Prepared;
use tropism_data::questions::{Questions, plain, read_questions};
use tropism_data::read::{ReadOptions, content_hash, file_hash, read_pairs};
use tropism_data::record::{Pair, Sample, Source, Text};
use tropism_data::split::split_by_prompt;
use tropism_objectives::{Objective, Per};
use tropism_rewards::Reward;
use tropism_trainer::{AnyStage, RowKind};
use tropism_worlds::{AgentTask, AgentWorld, Arithmetic, Difficulty, Lookup, Sokoban, Task};

/// A prompt with what is known of its answer.
pub(super) struct Question {
    pub(super) source: Source,
    pub(super) text: Text,
    pub(super) difficulty: Option<Difficulty>,
    pub(super) truth: Option<String>,
}

impl Question {
    fn of(task: Task) -> Self {
        let source = Source::row("world:arithmetic, task", task.id + 1);
        let (text, truth) = (task.conversation(), Some(task.truth.to_string()));
        Question { source, text, truth, difficulty: task.difficulty }
    }

    fn played(world: &str, task: &AgentTask) -> Self {
        let source = Source::row(format!("world:{world}, task"), task.id + 1);
        Question { source, text: task.conversation(), truth: None, difficulty: Some(task.difficulty) }
    }

    fn answered(sample: &Sample) -> Self {
        let truth = match &sample.completion {
            Text::Plain(text) => text.clone(),
            Text::Chat(messages) => messages.iter().map(|m| m.content.as_str()).collect(),
        };
        Question { source: sample.source.clone(), text: sample.prompt.clone(), difficulty: None, truth: Some(truth) }
    }

    fn asked(pair: &Pair) -> Self {
        Question { source: pair.source.clone(), text: pair.prompt.clone(), difficulty: None, truth: None }
    }
}

/// Records before tokenisation.
pub(super) struct Records {
    pub(super) pairs: Vec<Pair>,
    pub(super) test: Vec<Pair>,
    /// nothing: the chosen sides are learnt
    pub(super) samples: Option<Vec<Sample>>,
    /// held-out prompts
    pub(super) prompts: Vec<Question>,
    /// prompts to sample from in training
    pub(super) questions: Vec<Question>,
    pub(super) world: Option<Arc<dyn Reward>>,
    pub(super) audit: BTreeMap<String, Audit>,
    pub(super) hashes: BTreeMap<String, String>,
}

pub(super) fn from_world(config: &Experiment, w: &World) -> Result<Records, XtaskError> {
    match (&w.sokoban, &w.lookup) {
        (None, None) => from_arithmetic(config, w),
        (Some(sokoban), None) => from_agents(config, w, Sokoban::new(sokoban.clone())?),
        (None, Some(lookup)) => from_agents(config, w, Lookup::new(lookup.clone())?),
        (Some(_), Some(_)) => {
            Err(XtaskError::usage("`world.sokoban` and `world.lookup` are both set", "a run has one world; remove one"))
        }
    }
}

/// Tasks of several turns, with demonstrations to learn from.
fn from_agents(config: &Experiment, w: &World, world: impl AgentWorld + 'static) -> Result<Records, XtaskError> {
    if w.pairs > 0 || w.test_pairs > 0 || w.arithmetic != Default::default() {
        let problem = "a world of several turns makes demonstrations and no pairs, and is no world of arithmetic";
        return Err(XtaskError::usage(
            problem,
            "set world.pairs = 0 and world.test_pairs = 0, and leave world.arithmetic out",
        ));
    }
    super::super::episodes::check(config)?;
    let (train, test) = world.split(config.data.test_fraction, config.seed)?;
    let samples = world.demonstrations(&train, w.samples, config.seed)?;
    let count = Audit { read: samples.len(), kept: samples.len(), ..Audit::default() };
    let question = |task: &AgentTask| Question::played(world.name(), task);
    let (questions, prompts) = (train.iter().map(question).collect(), test.iter().map(question).collect());
    Ok(Records {
        pairs: vec![],
        test: vec![],
        samples: Some(samples),
        prompts,
        questions,
        world: Some(Arc::new(world)),
        audit: BTreeMap::from([("samples".to_owned(), count)]),
        hashes: BTreeMap::new(),
    })
}

fn from_arithmetic(config: &Experiment, w: &World) -> Result<Records, XtaskError> {
    let world = Arithmetic::new(w.arithmetic.clone())?;
    let (train, test) = world.split(config.data.test_fraction, config.seed)?;
    let pairs = world.pairs(&train, w.pairs, w.noise, config.seed)?;
    // held-out pairs are clean: they measure what was learnt, not the noise
    let test_pairs = world.pairs(&test, w.test_pairs, 0.0, config.seed ^ 1)?;
    let samples = world.sft(&train, w.samples, config.seed)?;
    let count = |n: usize| Audit { read: n, kept: n, ..Audit::default() };
    let parts = [("pairs", pairs.len()), ("test_pairs", test_pairs.len()), ("samples", samples.len())];
    let audit = parts.into_iter().map(|(p, n)| (p.to_owned(), count(n))).collect();
    let prompts = test.into_iter().map(Question::of).collect();
    let questions = train.into_iter().map(Question::of).collect();
    Ok(Records {
        pairs,
        test: test_pairs,
        samples: Some(samples),
        prompts,
        questions,
        world: Some(Arc::new(world)),
        audit,
        hashes: BTreeMap::new(),
    })
}

/// A file of questions: each a prompt with its truth, and a sample to learn from.
pub(super) fn from_questions(config: &Experiment, questions: &Questions) -> Result<Records, XtaskError> {
    let (path, d) = (config.data.path.as_deref().unwrap_or(Path::new("")), &config.data);
    let (samples, audit) = read_questions(path, questions, d.limit)?;
    let (samples, test) = split_by_prompt(samples, |s| s.prompt.key(), d.test_fraction, config.seed)?;
    let asked = |samples: &[Sample]| -> Vec<Question> { samples.iter().map(Question::answered).collect() };
    let (asked, prompts) = (asked(&samples), asked(&test));
    let count = |n: usize| Audit { read: n, kept: n, ..Audit::default() };
    let audit = [("file", audit), ("samples", count(samples.len()))].map(|(k, v)| (k.to_owned(), v));
    Ok(Records {
        pairs: vec![],
        test: vec![],
        samples: Some(samples),
        prompts,
        questions: asked,
        world: None,
        audit: audit.into_iter().collect(),
        hashes: BTreeMap::from([("data".to_owned(), file_hash(path)?)]),
    })
}

impl Records {
    /// Whether samples are episodes of a world that answers back.
    pub(super) fn episodes(&self) -> bool {
        self.world.as_ref().is_some_and(|world| world.episodes().is_some())
    }

    /// Questions and answers as plain text, for a tokenizer without a chat template.
    pub(super) fn without_template(&mut self) {
        for s in self.samples.iter_mut().flatten() {
            (s.prompt, s.completion) = (plain(&s.prompt), plain(&s.completion));
        }
        self.prompts.iter_mut().chain(&mut self.questions).for_each(|q| q.text = plain(&q.text));
    }
}

/// The different prompts of pairs.
fn asked(pairs: &[Pair]) -> Vec<Question> {
    let mut seen = BTreeSet::new();
    pairs.iter().filter(|p| seen.insert(p.prompt_key())).map(Question::asked).collect()
}

pub(super) fn from_file(config: &Experiment) -> Result<Records, XtaskError> {
    let path = config.data.path.as_deref().unwrap_or(Path::new(""));
    if Prepared::is(path) {
        return from_prepared(config, path);
    }
    let d = &config.data;
    let numbers = numbers(&config.stages);
    let (format, columns, limit) = (d.format, d.columns.clone(), d.limit);
    let options = ReadOptions { format, columns, numbers, limit, ..ReadOptions::default() };
    let (pairs, audit) = read_pairs(path, &options)?;
    let (pairs, test) = split_by_prompt(pairs, Pair::prompt_key, d.test_fraction, config.seed)?;
    let (questions, prompts) = (asked(&pairs), asked(&test));
    let count = |n: usize| Audit { read: n, kept: n, ..Audit::default() };
    let audit = [("file", audit), ("pairs", count(pairs.len())), ("test_pairs", count(test.len()))];
    let hashes = BTreeMap::from([("data".to_owned(), content_hash(path)?)]);
    let audit = audit.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
    Ok(Records { pairs, test, samples: None, prompts, questions, world: None, audit, hashes })
}

/// Rows of a folder that `data build` wrote, checked against its manifest. Its test rows are held out; where it has none, the
/// split of the configuration is made.
fn from_prepared(config: &Experiment, path: &Path) -> Result<Records, XtaskError> {
    let prepared = Prepared::open(path)?;
    let mut pairs = prepared.pairs("train")?;
    check_weights(&pairs, path)?;
    check_shares(&pairs, &config.stages, path)?;
    pairs.truncate(config.data.limit.unwrap_or(usize::MAX));
    let (pairs, test) = match prepared.has("test") {
        true => (pairs, prepared.pairs("test")?),
        false => split_by_prompt(pairs, Pair::prompt_key, config.data.test_fraction, config.seed)?,
    };
    let samples = prepared.has("positives").then(|| prepared.samples("positives")).transpose()?;
    let (questions, prompts) = (asked(&pairs), asked(&test));
    let count = |n: usize| Audit { read: n, kept: n, ..Audit::default() };
    let mut audit = BTreeMap::from([("pairs".to_owned(), count(pairs.len())), ("test_pairs".to_owned(), count(test.len()))]);
    if let Some(samples) = &samples {
        audit.insert("samples".to_owned(), count(samples.len()));
    }
    let hash = |file: &tropism_data::output::PreparedFile| (format!("data/{}", file.name), file.sha256.clone());
    let hashes = prepared.manifest().files.iter().map(hash).collect();
    Ok(Records { pairs, test, samples, prompts, questions, world: None, audit, hashes })
}

/// No stage weighs pairs by a column, so weights other than 1 would be passed over in silence.
fn check_weights(pairs: &[Pair], path: &Path) -> Result<(), XtaskError> {
    match pairs.iter().find(|pair| pair.numbers.get("weight").is_some_and(|&weight| weight != 1.0)) {
        None => Ok(()),
        Some(pair) => Err(XtaskError::usage(
            format!(
                "{}: the pair from {} has another weight than 1, and no stage weighs pairs",
                path.display(),
                pair.source
            ),
            "build with ties = \"drop\" or \"half_label\"",
        )),
    }
}

/// Half labels need an objective that reads them.
fn check_shares(pairs: &[Pair], stages: &[AnyStage], path: &Path) -> Result<(), XtaskError> {
    let halved = pairs.iter().any(|pair| pair.numbers.get("chosen_share").is_some_and(|&share| share != 1.0));
    let reads = |o: &Objective| o.columns().iter().any(|c| ["chosen_share", "tie"].contains(&c.name));
    let deaf = stages.iter().find(|s| s.objective().is_some_and(|o| RowKind::of(o) == Some(RowKind::Pairs) && !reads(o)));
    match deaf.filter(|_| halved) {
        None => Ok(()),
        Some(stage) => Err(XtaskError::usage(
            format!("{} has tied pairs with half a label, which stage `{}` does not read", path.display(), stage.name()),
            "take a method that reads chosen_share or tie, or build with ties = \"drop\"",
        )),
    }
}

/// Columns of the file that the objectives read; a stage makes the others itself, or refuses.
fn numbers(stages: &[AnyStage]) -> Vec<String> {
    let pairs = stages.iter().filter_map(AnyStage::objective).filter(|o| RowKind::of(o) == Some(RowKind::Pairs));
    let columns = pairs.flat_map(|o| o.columns()).filter(|c| c.per == Per::Row).map(|c| c.name.to_owned());
    let aspects = stages.iter().flat_map(|s| match s {
        AnyStage::RewardModel(s) => s.objective.columns(),
        _ => vec![],
    });
    columns.chain(aspects).collect::<BTreeSet<_>>().into_iter().collect()
}
