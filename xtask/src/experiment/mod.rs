//! `cargo xtask experiment`: one run from data to report.
mod comparison;
mod denoise;
mod direction;
mod distil;
mod episodes;
mod evaluate;
pub(crate) mod folder;
mod further;
mod held;
mod memory;
pub(crate) mod pipeline;
mod prepare;
mod result;
mod revision;
mod reward;
mod show;
mod toy;
pub(crate) mod veto;

use crate::cli::ExperimentArgs;
use crate::config::Experiment;
use crate::error::XtaskError;
use crate::recipes;
pub use folder::RunFolder;
pub use prepare::{Prepared, prepare};
pub(crate) use prepare::{text_of, versions};
pub use result::{Answer, ComparisonResult, PairRow, PromptRow, StageResult, Summary};
use std::path::{Path, PathBuf};

/// Carries out `cargo xtask experiment`.
///
/// # Errors
/// Whatever keeps the run from its end, as one message.
pub fn command(args: &ExperimentArgs) -> Result<(), XtaskError> {
    if args.list {
        print!("{}", recipes::list()?);
        return Ok(());
    }
    if let Some(folder) = &args.resume {
        return resume(folder);
    }
    let name = args.experiment.as_deref().unwrap_or_default();
    if let Some(toy) = tropism_toys::find(name) {
        return toy::command(toy, args);
    }
    if args.seeds.is_some() {
        return Err(XtaskError::usage("--seeds is read by toys only", "run a recipe once for each seed, with --seed"));
    }
    let text = recipes::find(name)?;
    if denoise::is_one(&text) {
        return denoise::command(name, &text, args);
    }
    let mut sets = args.set.clone();
    sets.extend(args.seed.map(|s| format!("seed={s}")));
    sets.extend(args.memory_limit.as_ref().map(|l| format!("memory_limit={l:?}")));
    let config = Experiment::parse(name, &text, &sets)?;
    if args.dry_run {
        let prepared = prepare(config)?;
        println!("{}", prepared.config.to_toml()?);
        eprintln!("{}", show::plan(&prepared));
        return Ok(());
    }
    let out = args.out.clone().unwrap_or_else(|| free_name(&config.name, config.seed));
    folder::refuse_existing(&out)?;
    // nothing is written before data, tokenizer and model have passed all checks
    let prepared = prepare(config)?;
    eprintln!("{}", show::plan(&prepared));
    let run = RunFolder::create(&out, &prepared)?;
    finish(&run, prepared)
}

fn resume(folder: &Path) -> Result<(), XtaskError> {
    if denoise::is_run(folder) {
        return denoise::resume(folder);
    }
    let run = RunFolder::open(folder)?;
    let prepared = prepare(run.config()?)?;
    run.check_same(&prepared)?;
    finish(&run, prepared)
}

/// Below this many parameters a second thread costs more than it helps.
const ONE_THREAD: usize = 200_000;

fn finish(run: &RunFolder, prepared: Prepared) -> Result<(), XtaskError> {
    let threads = match prepared.config.threads {
        0 if prepared.model.parameters() < ONE_THREAD => 1,
        n => n,
    };
    tropism_ops::with_threads(threads, || stages(run, &prepared)).map_err(tropism_lm::LmError::from)?
}

fn stages(run: &RunFolder, prepared: &Prepared) -> Result<(), XtaskError> {
    let results = pipeline::run(run, prepared)?;
    let comparisons = comparison::compare(&prepared.config.comparisons, &results, prepared.circle())?;
    let summary = Summary::new(&prepared.config, &results, &comparisons);
    run.write_summary(&summary)?;
    run.write_model(prepared, &results)?;
    show::write_report(run, prepared, &results, &comparisons)?;
    println!("{}", show::table(&results));
    print!("{}", show::comparisons(&comparisons));
    println!("run folder: {}", run.path().display());
    Ok(())
}

/// `runs/NAME-seedN`, with a number behind it when that exists.
fn free_name(name: &str, seed: u64) -> PathBuf {
    let base = format!("runs/{name}-seed{seed}");
    let names = std::iter::once(base.clone()).chain((2..).map(|i| format!("{base}-{i}")));
    names.map(PathBuf::from).find(|p| !p.exists()).unwrap_or_else(|| base.into())
}
