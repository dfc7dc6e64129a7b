//! Reading of a prepared folder.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use polars::prelude::*;

use super::cells::{read_lists, read_numbers, read_strings, read_texts};
use super::manifest::{MANIFEST, Manifest, PreparedFile};
use crate::DataError;
use crate::construct::dataset::{Item, Kind};
use crate::read::file_hash;
use crate::record::{Numbers, Pair, Sample, Source, Text, Tools};

/// Rows converted at a time.
const CHUNK: usize = 4096;

/// A prepared folder whose files are what the manifest says.
///
/// ```no_run
/// use tropism_data::output::Prepared;
/// let prepared = Prepared::open("prepared".as_ref())?;
/// let pairs = prepared.pairs("train")?;
/// println!("{} pairs, seed {}", pairs.len(), prepared.manifest().seed);
/// # Ok::<(), tropism_data::DataError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Prepared {
    folder: PathBuf,
    manifest: Manifest,
}

/// A row with its texts and numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// Texts and origin.
    pub item: Item,
    /// Numbers by column.
    pub numbers: Numbers,
    /// Numbers per completion, by column.
    pub cells: BTreeMap<String, Vec<f64>>,
}

impl Prepared {
    /// Whether a path is a prepared folder: one that holds a manifest.
    pub fn is(path: &Path) -> bool {
        path.join(MANIFEST).is_file()
    }

    /// Opens a folder and checks every file against the manifest.
    ///
    /// # Errors
    /// As [`Manifest::read`]; a file that is missing or has another hash.
    pub fn open(folder: &Path) -> Result<Self, DataError> {
        let manifest = Manifest::read(folder)?;
        for file in &manifest.files {
            let path = folder.join(&file.name);
            let hash = file_hash(&path)?;
            if hash != file.sha256 {
                let reason = format!(
                    "its SHA-256 is {hash}, the manifest says {}; the file was changed after it was prepared: prepare the data again",
                    file.sha256
                );
                return Err(DataError::File { path, reason });
            }
        }
        Ok(Self { folder: folder.to_owned(), manifest })
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Whether there is a part of that name.
    pub fn has(&self, part: &str) -> bool {
        self.manifest.part(part).is_some()
    }

    /// All rows of a part.
    ///
    /// # Errors
    /// A part that the folder does not have; a file that cannot be parsed.
    pub fn rows(&self, part: &str) -> Result<Vec<Stored>, DataError> {
        let entry = self.entry(part)?;
        let mut rows = Vec::with_capacity(entry.rows);
        self.each(part, |row| {
            rows.push(row);
            Ok(())
        })?;
        Ok(rows)
    }

    /// Hands every row of a part to `take`, a chunk of them in memory at a time.
    ///
    /// # Errors
    /// As [`Prepared::rows`], and those of `take`.
    pub fn each(&self, part: &str, mut take: impl FnMut(Stored) -> Result<(), DataError>) -> Result<(), DataError> {
        let entry = self.entry(part)?;
        let path = self.folder.join(&entry.name);
        let bad = |error: PolarsError| DataError::File { path: path.clone(), reason: format!("cannot be parsed: {error}") };
        for start in (0..entry.rows).step_by(CHUNK) {
            let file =
                File::open(&path).map_err(|error| DataError::File { path: path.clone(), reason: error.to_string() })?;
            let frame = ParquetReader::new(file).with_slice(Some((start, CHUNK))).finish().map_err(bad)?;
            for row in stored(&frame, entry.kind).map_err(bad)? {
                take(row)?;
            }
        }
        Ok(())
    }

    /// The pairs of a part with their numbers.
    ///
    /// # Errors
    /// As [`Prepared::rows`]; rows of another kind.
    pub fn pairs(&self, part: &str) -> Result<Vec<Pair>, DataError> {
        self.of_kind(part, Kind::Pairs, |row| row.item.into_pair(row.numbers))
    }

    /// The samples of a part.
    ///
    /// # Errors
    /// As [`Prepared::rows`]; rows of another kind.
    pub fn samples(&self, part: &str) -> Result<Vec<Sample>, DataError> {
        self.of_kind(part, Kind::Samples, |row| row.item.into_sample())
    }

    /// The single completions of a part, each with whether it is desirable.
    ///
    /// # Errors
    /// As [`Prepared::rows`]; rows of another kind.
    pub fn unpaired(&self, part: &str) -> Result<Vec<(Sample, bool)>, DataError> {
        self.of_kind(part, Kind::Unpaired, |row| {
            let desirable = row.numbers.get("label") == Some(&1.0);
            Some((row.item.into_sample()?, desirable))
        })
    }

    fn of_kind<T>(&self, part: &str, kind: Kind, of: impl Fn(Stored) -> Option<T>) -> Result<Vec<T>, DataError> {
        let entry = self.entry(part)?;
        if entry.kind != kind {
            let path = self.folder.join(&entry.name);
            let reason =
                format!("holds {}, and {} are asked for; build those by another strategy", entry.kind.name(), kind.name());
            return Err(DataError::File { path, reason });
        }
        Ok(self.rows(part)?.into_iter().filter_map(of).collect())
    }

    fn entry(&self, part: &str) -> Result<&PreparedFile, DataError> {
        self.manifest.part(part).ok_or_else(|| {
            let there: Vec<&str> = self.manifest.files.iter().map(|file| file.part.as_str()).collect();
            let reason = format!("has no part `{part}`; it has {}", there.join(", "));
            DataError::File { path: self.folder.clone(), reason }
        })
    }
}

/// The rows of a data frame.
fn stored(frame: &DataFrame, kind: Kind) -> PolarsResult<Vec<Stored>> {
    let height = frame.height();
    let column = |name: &str| frame.column(name).map(|column| column.as_materialized_series());
    let optional = |name: &str| column(name).map_or(Ok(vec![None; height]), read_strings);
    let (prompts, completions) = (read_texts(column("prompt")?)?, completions(frame, kind)?);
    let other: Vec<Option<Text>> = match column("rejected_prompt") {
        Ok(column) => read_texts(column)?.into_iter().map(Some).collect(),
        Err(_) => vec![None; height],
    };
    let (files, rows) = (optional("source_file")?, read_numbers(column("source_row")?)?);
    let (tools, answers, models) = (optional("tools")?, optional("answer")?, models(frame, kind, &completions)?);
    let (numbers, cells) = numbers(frame)?;
    let mut out = Vec::with_capacity(height);
    let texts = prompts.into_iter().zip(completions).zip(other).zip(models).zip(tools.into_iter().zip(answers));
    for (i, ((((prompt, completions), rejected_prompt), models), (tools, answer))) in texts.enumerate() {
        let source = Source::row(files[i].clone().unwrap_or_default(), rows[i] as usize);
        let item = Item { source, prompt, rejected_prompt, tools: parse_tools(tools)?, completions, models, answer };
        let at =
            |columns: &BTreeMap<String, Vec<f64>>| columns.iter().map(|(name, values)| (name.clone(), values[i])).collect();
        let cells = cells.iter().map(|(name, values)| (name.clone(), values[i].clone())).collect();
        out.push(Stored { item, numbers: at(&numbers), cells });
    }
    Ok(out)
}

fn parse_tools(json: Option<String>) -> PolarsResult<Tools> {
    let bad = |error: serde_json::Error| PolarsError::ComputeError(format!("column `tools`: {error}").into());
    json.map_or(Ok(Tools::default()), |json| serde_json::from_str(&json).map_err(bad))
}

fn completions(frame: &DataFrame, kind: Kind) -> PolarsResult<Vec<Vec<Text>>> {
    let column = |name: &str| frame.column(name).map(|column| column.as_materialized_series());
    Ok(match kind {
        Kind::Pairs | Kind::Joint => {
            let (chosen, rejected) = (read_texts(column("chosen")?)?, read_texts(column("rejected")?)?);
            chosen.into_iter().zip(rejected).map(|(chosen, rejected)| vec![chosen, rejected]).collect()
        }
        Kind::Unpaired | Kind::Samples => read_texts(column("completion")?)?.into_iter().map(|text| vec![text]).collect(),
        Kind::Rankings | Kind::Groups => read_lists(column("responses")?, read_texts)?,
    })
}

fn models(frame: &DataFrame, kind: Kind, completions: &[Vec<Text>]) -> PolarsResult<Vec<Vec<Option<String>>>> {
    let column = |name: &str| frame.column(name).ok().map(|column| column.as_materialized_series());
    let none = || Ok(completions.iter().map(|texts| vec![None; texts.len()]).collect());
    match kind {
        Kind::Pairs | Kind::Joint => match (column("chosen_model"), column("rejected_model")) {
            (Some(chosen), Some(rejected)) => {
                let sides = read_strings(chosen)?.into_iter().zip(read_strings(rejected)?);
                Ok(sides.map(|(chosen, rejected)| vec![chosen, rejected]).collect())
            }
            _ => none(),
        },
        Kind::Unpaired | Kind::Samples => match column("model") {
            Some(models) => Ok(read_strings(models)?.into_iter().map(|model| vec![model]).collect()),
            None => none(),
        },
        Kind::Rankings | Kind::Groups => column("models").map_or_else(none, |models| read_lists(models, read_strings)),
    }
}

type Columns = (BTreeMap<String, Vec<f64>>, BTreeMap<String, Vec<Vec<f64>>>);

/// Columns of numbers and of lists of numbers.
fn numbers(frame: &DataFrame) -> PolarsResult<Columns> {
    let (mut numbers, mut cells) = (BTreeMap::new(), BTreeMap::new());
    for column in frame.columns() {
        let (name, series) = (column.name().to_string(), column.as_materialized_series());
        match series.dtype() {
            _ if name == "source_row" => {}
            DataType::Float64 | DataType::Boolean => {
                numbers.insert(name, read_numbers(series)?);
            }
            DataType::List(inner) if **inner == DataType::Float64 => {
                cells.insert(name, read_lists(series, read_numbers)?);
            }
            _ => {}
        }
    }
    Ok((numbers, cells))
}
