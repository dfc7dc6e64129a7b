//! Writing of a prepared folder.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use polars::prelude::*;

use super::frame::{Layout, frame};
use super::manifest::{FORMAT, MANIFEST, Manifest, PreparedFile, SourceFile, VERSION};
use super::table::table;
use crate::DataError;
use crate::audit::Audit;
use crate::build::{Built, Part};
use crate::read::file_hash;
use crate::record::Record;

/// Rows written at a time: a row group. Their texts are in memory then, and no others beside the records.
const GROUP: usize = 4096;

/// What is known about a prepared folder beside its rows.
#[derive(Debug, Clone, Default)]
pub struct Written {
    /// Seed of every random choice.
    pub seed: u64,
    /// Versions of crates beside this one, by name.
    pub versions: BTreeMap<String, String>,
    /// The files that were read.
    pub sources: Vec<SourceFile>,
    /// The configuration.
    pub config: serde_json::Value,
    /// What the steps before the construction read and left out, by name.
    pub audits: BTreeMap<String, Audit>,
}

/// Writes a prepared folder, which must not exist yet. It appears whole: everything is written beside it under a temporary name,
/// then renamed. `progress` is told the rows written since the last call.
///
/// # Errors
/// A folder that exists; a file that cannot be written; plain text and messages in one part.
pub fn write(folder: &Path, built: &Built, about: &Written, progress: &dyn Fn(usize)) -> Result<Manifest, DataError> {
    write_folder(folder, |part| {
        let mut files = Vec::new();
        for set in &built.parts {
            files.push(write_part(part, set, &built.records, progress)?);
        }
        let audit = serde_json::json!({ "steps": about.audits, "construction": built.audit });
        put(part, "audit.json", &pretty(&audit)?)?;
        let mut versions = about.versions.clone();
        versions.insert(env!("CARGO_PKG_NAME").to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        let manifest = Manifest {
            format: FORMAT.to_owned(),
            version: VERSION,
            versions,
            seed: about.seed,
            sources: about.sources.clone(),
            files,
            config: about.config.clone(),
        };
        put(part, "audit.txt", table(&manifest, &about.audits, built).as_bytes())?;
        put(part, MANIFEST, &pretty(&manifest)?)?;
        Ok(manifest)
    })
}

/// Lets `fill` write into a temporary folder beside `folder`, then gives it that name. On failure nothing is left.
///
/// # Errors
/// A folder that exists, one that cannot be made or renamed, and those of `fill`.
pub fn write_folder<T>(folder: &Path, fill: impl FnOnce(&Path) -> Result<T, DataError>) -> Result<T, DataError> {
    if folder.exists() {
        let reason = "exists already; remove it, or name another folder".to_owned();
        return Err(DataError::File { path: folder.to_owned(), reason });
    }
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or(PathBuf::from("."), Path::to_owned);
    let part = parent.join(format!(".{name}.part"));
    let _ = std::fs::remove_dir_all(&part);
    std::fs::create_dir_all(&part).map_err(|error| failed(&part, &error))?;
    let filled = fill(&part).and_then(|value| match std::fs::rename(&part, folder) {
        Ok(()) => Ok(value),
        Err(error) => Err(failed(folder, &error)),
    });
    if filled.is_err() {
        let _ = std::fs::remove_dir_all(&part);
    }
    filled
}

fn write_part(folder: &Path, part: &Part, records: &[Record], progress: &dyn Fn(usize)) -> Result<PreparedFile, DataError> {
    let name = format!("{}.parquet", part.name);
    let path = folder.join(&name);
    let columns = write_rows(&path, part, records, progress)?;
    let keys = |row: &crate::construct::dataset::Row| [Some(row.record), row.rejected_record];
    let prompts: BTreeSet<String> = part
        .rows
        .rows
        .iter()
        .flat_map(keys)
        .flatten()
        .collect::<BTreeSet<_>>()
        .into_iter()
        .map(|at| records[at].prompt_key())
        .collect();
    Ok(PreparedFile {
        part: part.name.clone(),
        kind: part.rows.kind,
        rows: part.rows.len(),
        prompts: prompts.len(),
        stages: stages(&part.rows.columns),
        columns,
        bytes: std::fs::metadata(&path).map_err(|error| failed(&path, &error))?.len(),
        sha256: file_hash(&path)?,
        name,
    })
}

/// Writes the rows group by group; returns the names of the columns.
fn write_rows(path: &Path, part: &Part, records: &[Record], progress: &dyn Fn(usize)) -> Result<Vec<String>, DataError> {
    let bad = |error: PolarsError| DataError::File { path: path.to_owned(), reason: format!("cannot be written: {error}") };
    let layout = Layout::of(&part.rows, records)?;
    let empty = frame(&part.rows, records, 0..0, layout).map_err(bad)?;
    let mut file = BufWriter::new(File::create(path).map_err(|error| failed(path, &error))?);
    let mut writer = ParquetWriter::new(&mut file).batched(empty.schema()).map_err(bad)?;
    let mut start = 0;
    while start < part.rows.len() {
        let end = part.rows.len().min(start + GROUP);
        let mut rows = frame(&part.rows, records, start..end, layout).map_err(bad)?;
        rows.rechunk_mut();
        writer.write_batch(&rows).map_err(bad)?;
        progress(end - start);
        start = end;
    }
    writer.finish().map_err(bad)?;
    file.flush().map_err(|error| failed(path, &error))?;
    Ok(empty.get_column_names_owned().into_iter().map(|name| name.to_string()).collect())
}

/// Rows of each stage, where there are several.
fn stages(columns: &BTreeMap<String, Vec<f64>>) -> Vec<usize> {
    let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
    columns.get("stage").into_iter().flatten().for_each(|&stage| *counts.entry(stage as u64).or_default() += 1);
    counts.into_values().collect()
}

fn put(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), DataError> {
    let path = folder.join(name);
    std::fs::write(&path, bytes).map_err(|error| failed(&path, &error))
}

fn pretty(value: &impl serde::Serialize) -> Result<Vec<u8>, DataError> {
    let bad =
        |error: serde_json::Error| DataError::File { path: MANIFEST.into(), reason: format!("cannot be written: {error}") };
    let mut bytes = serde_json::to_vec_pretty(value).map_err(bad)?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn failed(path: &Path, error: &std::io::Error) -> DataError {
    DataError::File { path: path.to_owned(), reason: format!("cannot be written: {error}") }
}
