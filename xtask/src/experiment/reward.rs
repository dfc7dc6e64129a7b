//! Stages that train a reward model, and the reward models that other stages' rewards ask for.
use super::folder::{RunFolder, json};
use super::pipeline::{RESULT, start_of_stage};
use super::prepare::{Model, Prepared};
use super::result::StageResult;
use crate::error::XtaskError;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;
use tropism_data::text::Tokenizer;
use tropism_data::tokens::{TokenPair, TokenSample};
use tropism_evaluation::{mean_interval, reward_accuracy, reward_margin};
use tropism_lm::{FolderWriter, Loaded, WeightDtype};
use tropism_trainer::{
    LoadedModels, Metrics, ModelReward, Progress, RewardModel, RewardModelOptions, RewardRun, Stage, WeightedReward,
    checkpointed_stage,
};

/// Tokens scored at a time.
const MAX_TOKENS: usize = 4096;

/// Trains and evaluates one stage, and puts its folder into the run: the reward model, and what it says of held-out pairs.
pub(super) fn one(
    run: &RunFolder,
    prepared: &Prepared,
    stage: &Stage<RewardModelOptions>,
    policy: Model,
) -> Result<StageResult, XtaskError> {
    let clock = Instant::now();
    let (checkpoint, log) = (run.checkpoint(), run.metrics());
    let rows = &*prepared.pairs_of(stage)?;
    let (mut training, mut metrics) = match checkpointed_stage(&checkpoint)? {
        Some(name) if name == stage.name => {
            let (training, bytes) = RewardRun::restore(stage, rows, &checkpoint)?;
            (training, Metrics::resume(&log, bytes)?)
        }
        _ => (RewardRun::new(stage, rows, policy, prepared.config.seed)?, start_of_stage(&log, &stage.name)?),
    };
    let progress = Progress::new(&stage.name, training.total(), training.done());
    training.run(&mut metrics, &checkpoint, &progress, |_| {})?;
    let (steps, tokens) = (training.done(), training.tokens());
    let model = training.into_model()?;
    let seconds = clock.elapsed().as_secs_f64();
    let mut result = evaluate(prepared, stage, &model)?;
    (result.seconds, result.steps, result.tokens) = (seconds, steps, tokens);
    keep(run, &result, &model)?;
    Ok(result)
}

/// How the heads rank held-out pairs.
fn evaluate(
    prepared: &Prepared,
    stage: &Stage<RewardModelOptions>,
    model: &RewardModel<Loaded, f32>,
) -> Result<StageResult, XtaskError> {
    let mut metrics = BTreeMap::new();
    let pairs = &prepared.test[..prepared.test.len().min(prepared.config.evaluation.pairs)];
    let sides = |p: &TokenPair| [p.chosen_sample(), p.rejected_sample()];
    let samples: Vec<TokenSample> = pairs.iter().flat_map(sides).collect();
    let heads = &stage.objective.heads;
    for (name, aspect) in heads.iter().filter(|_| !pairs.is_empty()) {
        let scores = model.scores(name, &samples, MAX_TOKENS)?;
        // held-out pairs may lack a column: then its head has nothing to be measured by
        let gap = |p: &TokenPair| aspect.column.as_ref().map_or(Some(1.0), |c| p.numbers.get(c).copied());
        let (mut won, mut lost) = (vec![], vec![]);
        for (pair, sides) in pairs.iter().zip(scores.as_chunks::<2>().0) {
            let Some(gap) = gap(pair).filter(|g| *g != 0.0 && !g.is_nan()) else { continue };
            let [a, b] = if gap > 0.0 { *sides } else { [sides[1], sides[0]] };
            won.push(a);
            lost.push(b);
        }
        if won.is_empty() {
            continue;
        }
        let suffix = if heads.len() > 1 { format!("/{name}") } else { String::new() };
        for (metric, figure) in [
            ("rewards/accuracies", reward_accuracy(&won, &lost)?.rate),
            ("rewards/margins", reward_margin(&won, &lost)?),
            ("rewards/chosen", mean_interval(&won)?),
            ("rewards/rejected", mean_interval(&lost)?),
        ] {
            metrics.insert(format!("{metric}{suffix}"), figure);
        }
    }
    let (name, method) = (stage.name.clone(), "reward_model".to_owned());
    Ok(StageResult { name, method, seconds: 0.0, steps: 0, tokens: 0, metrics, answers: vec![], values: BTreeMap::new() })
}

fn keep(run: &RunFolder, result: &StageResult, model: &RewardModel<Loaded, f32>) -> Result<(), XtaskError> {
    let stages = run.path().join("stages");
    std::fs::create_dir_all(&stages).map_err(XtaskError::io(&stages))?;
    let writer = FolderWriter::new(&run.stage(&result.name))?;
    model.save(writer.path(), WeightDtype::F32)?;
    let path = writer.path().join(RESULT);
    std::fs::write(&path, json(result)?).map_err(XtaskError::io(&path))?;
    Ok(writer.finish()?)
}

/// The reward models that some rewards ask for.
pub(super) fn models(
    run: &RunFolder,
    rewards: &BTreeMap<String, WeightedReward>,
    max_tokens: usize,
) -> Result<LoadedModels, XtaskError> {
    let mut models = BTreeMap::new();
    for wanted in rewards.values().filter_map(|r| r.function.model()) {
        let model = match (&wanted.stage, &wanted.folder) {
            (Some(stage), _) => RewardModel::load(&run.stage(stage))?,
            (None, Some(folder)) => RewardModel::load(folder)?,
            (None, None) => continue,
        };
        models.insert(wanted.key(), model);
    }
    Ok(LoadedModels { models, max_tokens })
}

/// Makes sure that the reward model in a folder reads the tokens of this run, and has what is asked of it.
pub(super) fn check_folder(
    wanted: &ModelReward,
    folder: &Path,
    tokenizer: &Tokenizer,
    vocab: usize,
) -> Result<(), XtaskError> {
    let refuse = |problem: String| {
        let help = "give the folder of a reward model that was trained with this run's tokenizer";
        Err(XtaskError::usage(format!("reward model {}: {problem}", folder.display()), help))
    };
    let model: RewardModel<Loaded, f32> = RewardModel::load(folder)?;
    let head = match model.head(wanted.head.as_deref()) {
        Ok(head) => head,
        Err(problem) => return refuse(problem),
    };
    if wanted.normalize && model.card.scores.get(&head).is_none_or(|s| s.std <= 0.0) {
        return refuse("knows no spread of its scores, which `normalize` needs".into());
    }
    if folder.join("tokenizer.json").is_file() && Tokenizer::load(folder)?.hash() != tokenizer.hash() {
        return refuse("has another tokenizer than this run".into());
    }
    let found = model.model.trunk.config().sizes.vocab;
    if found != vocab {
        return refuse(format!("has a vocabulary of {found} entries, this run's model one of {vocab}"));
    }
    Ok(())
}
