//! Experiments with a denoiser: recipes that have a `[model.denoiser]`.
mod folder;
mod report;

use super::{folder as run_folder, free_name};
use crate::cli::ExperimentArgs;
use crate::config::explain;
use crate::error::XtaskError;
use crate::overrides;
use folder::{Folder, Stage};
use serde::Deserialize;
use std::path::Path;
use std::time::Instant;
use toml::{Table, Value};
use tropism_trainer::Progress;
use tropism_trainer::denoise::{DenoiseExperiment, DenoiseRun, Denoiser, Network, load_denoiser, measure, measure_data};

/// Whether a recipe is one for a denoiser.
pub(super) fn is_one(text: &str) -> bool {
    let table: Result<Table, _> = text.parse();
    let model = table.ok().and_then(|t| t.get("model").and_then(Value::as_table).cloned());
    model.is_some_and(|m| m.contains_key("denoiser"))
}

/// Whether a run folder is one of a denoiser.
pub(super) fn is_run(folder: &Path) -> bool {
    std::fs::read_to_string(folder.join("config.toml")).is_ok_and(|text| is_one(&text))
}

fn parse(origin: &str, text: &str, sets: &[String]) -> Result<DenoiseExperiment, XtaskError> {
    let help = "see xtask/recipes for working examples";
    let mut table: Table = text.parse().map_err(|e: toml::de::Error| XtaskError::config(origin, e.to_string(), help))?;
    sets.iter().try_for_each(|set| overrides::apply(&mut table, set))?;
    let config = DenoiseExperiment::deserialize(table.clone()).map_err(|e| explain(origin, &table, e.message()))?;
    config.build()?;
    Ok(config)
}

/// Carries out `cargo xtask experiment` for such a recipe.
pub(super) fn command(name: &str, text: &str, args: &ExperimentArgs) -> Result<(), XtaskError> {
    if args.memory_limit.is_some() {
        return Err(XtaskError::usage(
            "--memory-limit is for language models",
            "leave it out, or lower a stage's batch_size",
        ));
    }
    let mut sets = args.set.clone();
    sets.extend(args.seed.map(|s| format!("seed={s}")));
    let config = parse(name, text, &sets)?;
    if args.dry_run {
        println!("{}", folder::text(&config)?);
        eprintln!("{}", plan(&config)?);
        return Ok(());
    }
    let out = args.out.clone().unwrap_or_else(|| free_name(&config.name, config.seed));
    run_folder::refuse_existing(&out)?;
    eprintln!("{}", plan(&config)?);
    finish(&Folder::create(&out, &config)?, &config)
}

/// Goes on with an interrupted run.
pub(super) fn resume(path: &Path) -> Result<(), XtaskError> {
    let (folder, text) = Folder::open(path)?;
    let config = parse(&path.join("config.toml").display().to_string(), &text, &[])?;
    finish(&folder, &config)
}

/// A few lines on what is about to run.
fn plan(config: &DenoiseExperiment) -> Result<String, XtaskError> {
    let network = fresh(config)?;
    let mut out = format!("{}: seed {}, denoiser of {} parameters\n", config.name, config.seed, network.parameters());
    for s in &config.stages {
        out += &format!("  stage {}: {}, {} steps of {}\n", s.name, s.objective.name(), s.max_steps, s.batch_size);
    }
    Ok(out)
}

fn fresh(config: &DenoiseExperiment) -> Result<Network<f32>, XtaskError> {
    Ok(Network::new(&config.model.denoiser, config.seed).map_err(tropism_trainer::TrainError::from)?)
}

fn finish(folder: &Folder, config: &DenoiseExperiment) -> Result<(), XtaskError> {
    let threads = config.threads.max(1);
    tropism_ops::with_threads(threads, || stages(folder, config)).map_err(tropism_lm::LmError::from)?
}

fn stages(folder: &Folder, config: &DenoiseExperiment) -> Result<(), XtaskError> {
    let mut done = vec![match folder.finished("data")? {
        Some(stage) => stage,
        None => {
            let measured = measure_data(config)?;
            folder.keep(
                Stage { name: "data".into(), method: "world".into(), steps: 0, seconds: 0.0, pairs: 0, measured },
                None,
            )?
        }
    }];
    let mut policy = fresh(config)?;
    for (place, stage) in config.stages.iter().enumerate() {
        let finished = folder.finished(&stage.name)?;
        let result = match finished {
            Some(result) => result,
            None => {
                let before = (place > 0).then(|| done[place].measured.rewards.clone());
                one(folder, config, place, policy, before.as_deref())?
            }
        };
        done.push(result);
        policy = load_denoiser(&folder.model(&stage.name)).map_err(tropism_trainer::TrainError::from)?;
    }
    folder.close(config, &done)?;
    report::write(folder, config, &done)?;
    println!("{}", report::table(&done));
    println!("run folder: {}", folder.path().display());
    Ok(())
}

/// Trains and measures one stage, from its start or from the checkpoint.
fn one(
    folder: &Folder,
    config: &DenoiseExperiment,
    place: usize,
    policy: Network<f32>,
    before: Option<&[f64]>,
) -> Result<Stage, XtaskError> {
    let stage = &config.stages[place];
    let checkpoint = folder.checkpoint(&stage.name)?;
    let mut run = match checkpoint.is_file() {
        true => DenoiseRun::restore(config, place, policy, &checkpoint)?,
        false => DenoiseRun::start(config, place, policy)?,
    };
    let mut metrics = folder.metrics(&stage.name, run.done())?;
    let progress = Progress::new(&stage.name, stage.max_steps, run.done());
    let clock = Instant::now();
    run.run(&mut metrics, &checkpoint, &progress, |_| true)?;
    let (seconds, steps, pairs) = (clock.elapsed().as_secs_f64(), run.done(), run.pairs());
    let policy = run.into_policy();
    let measured = measure(config, &policy, before)?;
    let method = stage.objective.name().to_owned();
    folder.keep(Stage { name: stage.name.clone(), method, steps, seconds, pairs, measured }, Some(&policy))
}
