//! `data build`: from files to a prepared folder.
use super::bar;
use super::config::DataConfig;
use crate::cli::DataBuildArgs;
use crate::error::XtaskError;
use crate::experiment::versions;
use std::collections::BTreeMap;
use std::time::Instant;
use tropism_data::audit::Audit;
use tropism_data::build::build;
use tropism_data::hygiene::Cleaner;
use tropism_data::hygiene::contamination::{Contamination, Decontaminator};
use tropism_data::output::{Manifest, SourceFile, Written, write};
use tropism_data::read::{ReadOptions, RecordReader, file_hash, files_of};
use tropism_data::record::Record;

pub(super) fn command(args: &DataBuildArgs) -> Result<(), XtaskError> {
    let config = DataConfig::load(args)?;
    let resolved = serde_json::to_value(&config).map_err(|e| {
        XtaskError::usage(format!("the configuration cannot be written: {e}"), "this is a defect, please report it")
    })?;
    if args.dry_run {
        println!("{resolved:#}");
        return Ok(());
    }
    let Some(out) = &args.out else {
        return Err(XtaskError::usage("--out is not set", "name the folder to write: --out prepared"));
    };
    if out.exists() {
        let problem = format!("{} exists already", out.display());
        return Err(XtaskError::usage(problem, "remove it, or name another folder by --out"));
    }
    let start = Instant::now();
    let sources = sources(&config)?;
    let (records, audits) = read(&config)?;
    let built = build(records, &config.options())?;
    let rows = built.parts.iter().map(|part| part.rows.len() as u64).sum();
    let progress = bar(Some(rows), "writing");
    let about = Written { seed: config.seed, versions: versions(), sources, config: resolved, audits };
    let manifest = write(out, &built, &about, &|rows| progress.inc(rows as u64))?;
    progress.finish_and_clear();
    let table = out.join("audit.txt");
    print!("{}", std::fs::read_to_string(&table).map_err(XtaskError::io(&table))?);
    println!("{}: {}, {:.1} s", out.display(), summary(&manifest), start.elapsed().as_secs_f64());
    Ok(())
}

/// Files with their rows.
fn summary(manifest: &Manifest) -> String {
    let files = manifest.files.iter().map(|file| format!("{} {} in {}", file.rows, file.kind.name(), file.name));
    files.collect::<Vec<_>>().join(", ")
}

fn sources(config: &DataConfig) -> Result<Vec<SourceFile>, XtaskError> {
    let mut paths = files_of(&config.source.path)?;
    for path in config.decontaminate.iter().flat_map(|d| &d.against) {
        paths.extend(files_of(path)?);
    }
    let source = |path: std::path::PathBuf| Ok(SourceFile { sha256: file_hash(&path)?, path: path.display().to_string() });
    paths.into_iter().map(source).collect()
}

/// Records that passed hygiene, with the audits of both steps.
fn read(config: &DataConfig) -> Result<(Vec<Record>, BTreeMap<String, Audit>), XtaskError> {
    let mut cleaner = Cleaner::new(&config.hygiene, decontaminator(config)?)?;
    let mut reader = RecordReader::open(&config.source.path, &config.source.options())?;
    let (mut records, progress) = (Vec::new(), bar(None, "reading"));
    for batch in &mut reader {
        let batch = batch?;
        progress.inc(batch.len() as u64);
        records.extend(if config.clean { cleaner.clean(batch) } else { batch });
    }
    progress.finish_and_clear();
    let mut audits = BTreeMap::from([("1 read".to_owned(), reader.audit().clone())]);
    if config.clean {
        audits.insert("2 hygiene".to_owned(), cleaner.audit().clone());
    }
    if records.is_empty() {
        let problem = format!("{}: hygiene left none of {} records", config.source.path.display(), cleaner.audit().read);
        let help = format!("left out: {}; change [hygiene]", cleaner.audit().reasons());
        return Err(XtaskError::usage(problem, help));
    }
    Ok((records, audits))
}

fn decontaminator(config: &DataConfig) -> Result<Option<Decontaminator>, XtaskError> {
    let Some(options) = &config.decontaminate else { return Ok(None) };
    let mut index = Decontaminator::new(&Contamination { words: options.words, threshold: options.threshold })?;
    for path in &options.against {
        index.add_file(path, &ReadOptions::default())?;
    }
    Ok(Some(index))
}
