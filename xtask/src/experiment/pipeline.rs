//! The stages of a run, one after the other, each kept on disk when it is done.
use super::evaluate::evaluate;
use super::folder::{RunFolder, json, json_lines};
use super::prepare::{Model, ModelHeads, Prepared, unknown};
use super::result::{PairRow, StageResult};
use crate::error::XtaskError;
use std::path::Path;
use std::time::Instant;
use tropism_lm::{FolderWriter, Loaded, load};
use tropism_trainer::{
    AnyStage, Environment, FreshOptions, FreshRun, Metrics, OnlineRun, PolicyGradientOptions, Progress, Stage, StageRun,
    checkpointed_stage, reference_logps,
};

/// What a stage measured.
pub(crate) const RESULT: &str = "result.json";
/// How it scores the held-out pairs.
pub(crate) const PAIRS: &str = "pairs.jsonl";

/// The policy at the end of a stage, its steps and tokens.
pub(super) type Trained = (Model, usize, usize);
/// Where a stage's heads stand in its folder.
const HEADS: &str = "heads";

/// The model that a stage ended with; `model` is the one at the start.
pub(super) fn load_stage(run: &RunFolder, prepared: &Prepared, name: &str) -> Result<Model, XtaskError> {
    match name {
        "model" => Ok(prepared.model.clone()),
        name => Ok(load(&run.stage(name), |c| Ok(Loaded::new(c)))?),
    }
}

fn finished(folder: &Path) -> Result<Option<StageResult>, XtaskError> {
    let path = folder.join(RESULT);
    if !path.is_file() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&path).map_err(XtaskError::io(&path))?;
    let broken = |e: serde_json::Error| XtaskError::config(path.display().to_string(), e.to_string(), "start the run again");
    serde_json::from_str(&text).map(Some).map_err(broken)
}

/// Runs what is not done yet.
pub(super) fn run(run: &RunFolder, prepared: &Prepared) -> Result<Vec<StageResult>, XtaskError> {
    let mut results: Vec<StageResult> = vec![];
    let start = match finished(&run.stage("model"))? {
        Some(r) => r,
        None => {
            let (r, pairs) = evaluate(prepared, &prepared.model, None, None, &results, "model")?;
            keep(run, &r, &pairs, None, None, None)?;
            r
        }
    };
    results.push(start);
    for stage in &prepared.config.stages {
        let result = match finished(&run.stage(stage.name()))? {
            Some(r) => r,
            None => one(run, prepared, stage, &results)?,
        };
        results.push(result);
    }
    let checkpoint = run.checkpoint();
    if checkpoint.exists() {
        std::fs::remove_dir_all(&checkpoint).map_err(XtaskError::io(&checkpoint))?;
    }
    Ok(results)
}

/// Trains and evaluates one stage.
fn one(run: &RunFolder, prepared: &Prepared, stage: &AnyStage, before: &[StageResult]) -> Result<StageResult, XtaskError> {
    // a reward model is no place to start from
    let scores = |name: &str| prepared.config.stages.iter().any(|s| s.name() == name && s.makes_reward_model());
    let previous = before.iter().rev().find(|r| !scores(&r.name)).map_or("model", |r| r.name.as_str());
    let init = stage.init().unwrap_or(previous);
    let policy = load_stage(run, prepared, init)?;
    if let AnyStage::RewardModel(s) = stage {
        return super::reward::one(run, prepared, s, policy);
    }
    let mut reference = match stage.reference() {
        Some(name) if name != init => load_stage(run, prepared, name)?,
        _ => policy.clone(),
    };
    reference.precision = stage.precision().into();
    let (clock, mut heads) = (Instant::now(), None);
    let (policy, steps, tokens) = match stage {
        AnyStage::Rows(s) => train(run, prepared, s, policy, &reference)?,
        AnyStage::PolicyGradient(s) => train_online(run, prepared, s, policy, &reference)?,
        AnyStage::OnlinePreference(s) | AnyStage::RejectionSampling(s) => {
            let (trained, found) = train_fresh(run, prepared, s, policy, &reference)?;
            heads = found;
            trained
        }
        AnyStage::Distil(s) => super::distil::train(run, prepared, s, policy)?,
        other => return Err(unknown(other)),
    };
    let seconds = clock.elapsed().as_secs_f64();
    let adapted = policy.adapter().is_some().then(|| policy.clone());
    let policy = if adapted.is_some() { policy.merged()? } else { policy };
    let (mut result, pairs) = evaluate(prepared, &policy, heads.as_ref(), Some((stage, &reference)), before, stage.name())?;
    (result.seconds, result.steps, result.tokens) = (seconds, steps, tokens);
    let base = match init {
        "model" => prepared.config.model.path.clone().unwrap_or_default(),
        name => run.stage(name),
    };
    keep(run, &result, &pairs, Some(&policy), heads.as_ref(), adapted.as_ref().map(|a| (a, base.as_path())))?;
    Ok(result)
}

/// From the start or from the checkpoint.
fn train(
    run: &RunFolder,
    prepared: &Prepared,
    stage: &Stage,
    policy: Model,
    reference: &Model,
) -> Result<Trained, XtaskError> {
    let (checkpoint, log) = (run.checkpoint(), run.metrics());
    let rows = &*prepared.rows(stage)?;
    let (mut training, mut metrics) = match checkpointed_stage(&checkpoint)? {
        Some(name) if name == stage.name => {
            let (training, bytes) = StageRun::restore(stage, rows, &checkpoint)?;
            (training, Metrics::resume(&log, bytes)?)
        }
        _ => {
            let cache = run.reference_cache();
            let score = || reference_logps(reference, rows, &stage.objective, stage.micro_batch_tokens, Some(&cache));
            let logps = stage.objective.needs_reference().then(score).transpose()?;
            let training = StageRun::scored(stage, rows, policy, logps, prepared.config.seed)?;
            if stage.reference.is_none() || stage.reference == stage.init {
                training.check_reference()?;
            }
            (training, start_of_stage(&log, &stage.name)?)
        }
    };
    let progress = Progress::new(&stage.name, training.total(), training.done());
    training.run(&mut metrics, &checkpoint, &progress, |_| {})?;
    let (steps, tokens) = (training.done(), training.tokens());
    Ok((training.into_policy(), steps, tokens))
}

/// As [`train`], for a stage that samples.
fn train_online(
    run: &RunFolder,
    prepared: &Prepared,
    stage: &Stage<PolicyGradientOptions>,
    policy: Model,
    reference: &Model,
) -> Result<Trained, XtaskError> {
    let (checkpoint, log) = (run.checkpoint(), run.metrics());
    let reference = stage.objective.needs_reference().then(|| reference.clone());
    let models = super::reward::models(run, &stage.objective.rewards, stage.micro_batch_tokens)?;
    let guide = stage.objective.token_rewards.as_ref().map(|t| load_stage(run, prepared, &t.model)).transpose()?;
    prepared.sampled_by(|environment| {
        let environment = &Environment { models: Some(&models), ..*environment };
        let questions = &prepared.questions;
        let (mut training, mut metrics) = match checkpointed_stage(&checkpoint)? {
            Some(name) if name == stage.name => {
                let (training, bytes) = OnlineRun::restore(stage, questions, reference, *environment, &checkpoint)?;
                (training, Metrics::resume(&log, bytes)?)
            }
            _ => {
                let seed = prepared.config.seed;
                let training = OnlineRun::new(stage, questions, policy, reference, *environment, seed)?;
                (training, start_of_stage(&log, &stage.name)?)
            }
        };
        if let Some(guide) = guide {
            training = training.with_guide(guide)?;
        }
        let progress = Progress::new(&stage.name, training.total(), training.done());
        training.run(&mut metrics, &checkpoint, &progress, |_| {})?;
        let (steps, tokens) = (training.done(), training.tokens());
        Ok((training.into_policy(), steps, tokens))
    })
}

/// As [`train`], for a stage that makes its rows.
fn train_fresh(
    run: &RunFolder,
    prepared: &Prepared,
    stage: &Stage<FreshOptions>,
    policy: Model,
    reference: &Model,
) -> Result<(Trained, Option<ModelHeads>), XtaskError> {
    let (checkpoint, log) = (run.checkpoint(), run.metrics());
    let reference = stage.objective.needs_reference().then(|| reference.clone());
    let models = super::reward::models(run, &stage.objective.rewards, stage.micro_batch_tokens)?;
    prepared.sampled_by(|environment| {
        let environment = &Environment { models: Some(&models), ..*environment };
        let questions = prepared.asked(stage);
        let (mut training, mut metrics) = match checkpointed_stage(&checkpoint)? {
            Some(name) if name == stage.name => {
                let (training, bytes) = FreshRun::restore(stage, questions, reference, *environment, &checkpoint)?;
                (training, Metrics::resume(&log, bytes)?)
            }
            _ => {
                let seed = prepared.config.seed;
                let training = FreshRun::new(stage, questions, policy, reference, *environment, seed)?;
                (training, start_of_stage(&log, &stage.name)?)
            }
        };
        let progress = Progress::new(&stage.name, training.total(), training.done());
        training.run(&mut metrics, &checkpoint, &progress, |_| {})?;
        let (steps, tokens) = (training.done(), training.tokens());
        let heads = training.heads().cloned();
        Ok(((training.into_policy(), steps, tokens), heads))
    })
}

/// Metrics go on behind the stages that are done; lines of an earlier try at this stage are dropped.
pub(super) fn start_of_stage(log: &Path, stage: &str) -> Result<Metrics, XtaskError> {
    if !log.exists() {
        return Ok(Metrics::create(log)?);
    }
    let text = std::fs::read_to_string(log).map_err(XtaskError::io(log))?;
    let mine = format!("{{\"stage\":{stage:?},");
    let keep: usize = text.split_inclusive('\n').take_while(|l| !l.starts_with(&mine)).map(str::len).sum();
    Ok(Metrics::resume(log, keep as u64)?)
}

/// Puts a stage's result, its scores of held-out pairs, its model, and the adapter that was trained on a base model, into its folder.
fn keep(
    run: &RunFolder,
    result: &StageResult,
    pairs: &[PairRow],
    model: Option<&Model>,
    heads: Option<&ModelHeads>,
    adapter: Option<(&Model, &Path)>,
) -> Result<(), XtaskError> {
    let stages = run.path().join("stages");
    std::fs::create_dir_all(&stages).map_err(XtaskError::io(&stages))?;
    let writer = FolderWriter::new(&run.stage(&result.name))?;
    if let Some(model) = model {
        model.save(writer.path(), tropism_lm::WeightDtype::F32)?;
    }
    if let Some(heads) = heads {
        let folder = writer.path().join(HEADS);
        std::fs::create_dir_all(&folder).map_err(XtaskError::io(&folder))?;
        heads.save(&folder, tropism_lm::WeightDtype::F32)?;
    }
    if let Some((model, base)) = adapter {
        let folder = writer.path().join("adapter");
        std::fs::create_dir_all(&folder).map_err(XtaskError::io(&folder))?;
        model.save_adapter(&folder, &base.display().to_string(), tropism_lm::WeightDtype::F32)?;
    }
    if !pairs.is_empty() {
        let path = writer.path().join(PAIRS);
        std::fs::write(&path, json_lines(pairs)?).map_err(XtaskError::io(&path))?;
    }
    let path = writer.path().join(RESULT);
    std::fs::write(&path, json(result)?).map_err(XtaskError::io(&path))?;
    Ok(writer.finish()?)
}
