//! Rows before tokenisation, from a file or a world.
use crate::config::{Experiment, World};
use crate::error::XtaskError;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use tropism_data::audit::Audit;
use tropism_data::read::{ReadOptions, content_hash, read_pairs};
use tropism_data::record::{Pair, Sample, Text};
use tropism_data::split::split_by_prompt;
use tropism_objectives::Per;
use tropism_trainer::{RowKind, Stage};
use tropism_worlds::{Arithmetic, Task};

/// Records before tokenisation.
pub(super) struct Records {
    pub(super) pairs: Vec<Pair>,
    pub(super) test: Vec<Pair>,
    /// nothing: the chosen sides are learnt
    pub(super) samples: Option<Vec<Sample>>,
    pub(super) prompts: Vec<(Text, Option<Task>)>,
    pub(super) world: Option<Arithmetic>,
    pub(super) audit: BTreeMap<String, Audit>,
    pub(super) hashes: BTreeMap<String, String>,
}

pub(super) fn from_world(config: &Experiment, w: &World) -> Result<Records, XtaskError> {
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

pub(super) fn from_file(config: &Experiment) -> Result<Records, XtaskError> {
    let path = config.data.path.as_deref().unwrap_or(Path::new(""));
    let d = &config.data;
    let numbers = numbers(&config.stages);
    let (format, columns, limit) = (d.format, d.columns.clone(), d.limit);
    let options = ReadOptions { format, columns, numbers, limit, ..ReadOptions::default() };
    let (pairs, audit) = read_pairs(path, &options)?;
    let (pairs, test) = split_by_prompt(pairs, Pair::prompt_key, d.test_fraction, config.seed)?;
    let mut seen = BTreeSet::new();
    let prompts = test.iter().filter(|p| seen.insert(p.prompt_key())).map(|p| (p.prompt.clone(), None)).collect();
    let count = |n: usize| Audit { read: n, kept: n, ..Audit::default() };
    let audit = [("file", audit), ("pairs", count(pairs.len())), ("test_pairs", count(test.len()))];
    let hashes = BTreeMap::from([("data".to_owned(), content_hash(path)?)]);
    let audit = audit.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
    Ok(Records { pairs, test, samples: None, prompts, world: None, audit, hashes })
}

/// Columns of the file that the objectives read; a stage makes the others itself, or refuses.
fn numbers(stages: &[Stage]) -> Vec<String> {
    let pairs = stages.iter().filter(|s| RowKind::of(&s.objective) == Some(RowKind::Pairs));
    let columns = pairs.flat_map(|s| s.objective.columns()).filter(|c| c.per == Per::Row);
    columns.map(|c| c.name.to_owned()).collect::<BTreeSet<_>>().into_iter().collect()
}
