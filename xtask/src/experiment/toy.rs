//! Small-scale checks of papers.
use super::folder::{Provenance, json, put, refuse_existing};
use super::{free_name, prepare};
use crate::cli::ExperimentArgs;
use crate::error::XtaskError;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use tropism_toys::{Decided, Measured, Outcome, Run, Toy, Verdict};

/// What a toy was run with: `config.toml`.
#[derive(Serialize)]
struct Config {
    name: String,
    seed: u64,
    seeds: usize,
    title: &'static str,
    arxiv: &'static str,
    claim: &'static str,
    provenance: Provenance,
}

impl Config {
    fn of(toy: &Toy, args: &ExperimentArgs) -> Self {
        Config {
            name: toy.name(),
            seed: args.seed.unwrap_or(0),
            seeds: args.seeds.unwrap_or(toy.default_seeds()),
            title: toy.title,
            arxiv: toy.arxiv,
            claim: toy.claim,
            provenance: Provenance {
                tropism: env!("CARGO_PKG_VERSION").to_owned(),
                versions: prepare::versions(),
                hashes: BTreeMap::new(),
            },
        }
    }

    fn to_toml(&self) -> Result<String, XtaskError> {
        toml::to_string(self).map_err(|e| XtaskError::usage(e.to_string(), "this is a defect, please report it"))
    }
}

/// `summary.json` of a toy.
#[derive(Serialize)]
struct Summary<'a> {
    experiment: &'a str,
    seed: u64,
    seeds: usize,
    figures: &'a [Measured],
    relations: &'a [Decided],
}

/// Runs a toy, writes its folder and prints figures and relations. A relation that did not come out is a result, not an
/// error.
pub(super) fn command(toy: &Toy, args: &ExperimentArgs) -> Result<(), XtaskError> {
    refuse_unread(toy, args)?;
    let config = Config::of(toy, args);
    toy.check_seeds(config.seed, config.seeds)?;
    // TOML's whole numbers have a sign
    if i64::try_from(config.seed).is_err() {
        return Err(XtaskError::usage(format!("seed {} does not fit config.toml", config.seed), "give one below 2^63"));
    }
    let text = config.to_toml()?;
    if args.dry_run {
        println!("{text}");
        return Ok(());
    }
    let out = args.out.clone().unwrap_or_else(|| free_name(&config.name, config.seed));
    refuse_existing(&out)?;
    eprintln!("{}: {} (arXiv {})\n  {}", config.name, toy.title, toy.arxiv, toy.claim);
    let outcome = toy.check(config.seed, config.seeds)?;
    write(&out, &config, &text, &outcome)?;
    println!("{outcome}");
    let count = |verdict| outcome.count(verdict);
    println!(
        "relations: {} came out, {} did not, {} undecided",
        count(Verdict::CameOut),
        count(Verdict::DidNot),
        count(Verdict::Undecided)
    );
    println!("run folder: {}", out.display());
    Ok(())
}

/// Options of recipes mean nothing to a toy.
fn refuse_unread(toy: &Toy, args: &ExperimentArgs) -> Result<(), XtaskError> {
    let unread = [("--set", !args.set.is_empty()), ("--memory-limit", args.memory_limit.is_some())];
    match unread.iter().find(|(_, given)| *given) {
        Some((option, _)) => {
            let help = "a toy reads --seed, --seeds, --out and --dry-run";
            Err(XtaskError::usage(format!("toy `{}` does not read {option}", toy.name()), help))
        }
        None => Ok(()),
    }
}

fn write(out: &Path, config: &Config, text: &str, outcome: &Outcome) -> Result<(), XtaskError> {
    fs::create_dir_all(out).map_err(XtaskError::io(out))?;
    put(out, "config.toml", text.as_bytes())?;
    let lines: String = outcome.runs.iter().map(|run| format!("{}\n", line(run))).collect();
    put(out, "figures.jsonl", lines.as_bytes())?;
    let summary = Summary {
        experiment: &config.name,
        seed: config.seed,
        seeds: config.seeds,
        figures: &outcome.figures,
        relations: &outcome.relations,
    };
    put(out, "summary.json", &json(&summary)?)
}

/// The figures of one seed as an object.
fn line(run: &Run) -> Value {
    let seed = std::iter::once(("seed".to_owned(), Value::from(run.seed)));
    seed.chain(run.figures.iter().map(|f| (f.name.clone(), f.value.into()))).collect::<Map<_, _>>().into()
}
