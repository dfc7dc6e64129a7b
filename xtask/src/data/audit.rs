//! `data audit`: what a prepared folder or a file holds.
use super::bar;
use crate::cli::DataAuditArgs;
use crate::error::XtaskError;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use tropism_data::construct::records::characters;
use tropism_data::hygiene::{Cleaner, Hygiene};
use tropism_data::output::Prepared;
use tropism_data::read::{BrokenRows, ReadOptions, RecordReader};
use tropism_data::record::Record;

pub(super) fn command(args: &DataAuditArgs) -> Result<(), XtaskError> {
    if Prepared::is(&args.path) { folder(args) } else { file(args) }
}

/// The audit that was written, after a check of the files.
fn folder(args: &DataAuditArgs) -> Result<(), XtaskError> {
    let prepared = Prepared::open(&args.path)?;
    let name = if args.json { "audit.json" } else { "audit.txt" };
    let path = args.path.join(name);
    print!("{}", std::fs::read_to_string(&path).map_err(XtaskError::io(&path))?);
    if !args.json {
        let files = prepared.manifest().files.len();
        println!("{}: {files} files as the manifest says, seed {}", args.path.display(), prepared.manifest().seed);
    }
    Ok(())
}

/// What reading and hygiene by their defaults would find; rows that cannot be read are counted.
fn file(args: &DataAuditArgs) -> Result<(), XtaskError> {
    let format = match &args.format {
        Some(name) => serde_json::from_value(name.as_str().into())
            .map_err(|e| XtaskError::usage(format!("--format {name}: {e}"), "leave it out to have it recognised"))?,
        None => Default::default(),
    };
    let options = ReadOptions { format, broken_rows: BrokenRows::Drop, ..ReadOptions::default() };
    let mut reader = RecordReader::open(&args.path, &options)?;
    let mut cleaner = Cleaner::new(&Hygiene::default(), None)?;
    let (mut figures, progress) = (Figures::default(), bar(None, "reading"));
    for batch in &mut reader {
        let batch = batch?;
        progress.inc(batch.len() as u64);
        batch.iter().for_each(|record| figures.add(record));
        cleaner.clean(batch);
    }
    progress.finish_and_clear();
    let audit = json!({
        "format": reader.format(), "read": reader.audit(), "hygiene": cleaner.audit(), "records": figures.json(),
    });
    if args.json {
        println!("{audit:#}");
    } else {
        print!("{}", lines(&args.path, &audit));
    }
    Ok(())
}

/// Counts over records.
#[derive(Default)]
struct Figures {
    records: usize,
    responses: usize,
    sizes: BTreeMap<usize, usize>,
    with: BTreeMap<&'static str, usize>,
    characters: [usize; 2],
}

impl Figures {
    fn add(&mut self, record: &Record) {
        self.records += 1;
        self.responses += record.responses.len();
        *self.sizes.entry(record.responses.len()).or_default() += 1;
        self.characters[0] += characters(&record.prompt);
        self.count("answer", usize::from(record.answer.is_some()));
        self.count("tools", usize::from(!record.tools.is_empty()));
        for response in &record.responses {
            self.characters[1] += characters(&response.content);
            self.count("model", usize::from(response.model.is_some()));
            self.count("score", usize::from(response.score.is_some()));
            self.count("rank", usize::from(response.rank.is_some()));
            self.count("label", usize::from(response.label.is_some()));
            self.count("aspects", usize::from(!response.aspects.is_empty()));
            self.count("steps", usize::from(!response.steps.is_empty()));
        }
    }

    fn count(&mut self, what: &'static str, n: usize) {
        *self.with.entry(what).or_default() += n;
    }

    fn json(&self) -> Value {
        let mean = |sum: usize, n: usize| (10.0 * sum as f64 / n.max(1) as f64).round() / 10.0;
        let sizes: BTreeMap<String, usize> = self.sizes.iter().map(|(size, count)| (size.to_string(), *count)).collect();
        json!({
            "records": self.records,
            "responses": self.responses,
            "records_by_number_of_responses": sizes,
            "with": self.with,
            "characters_of_prompts_mean": mean(self.characters[0], self.records),
            "characters_of_responses_mean": mean(self.characters[1], self.responses),
        })
    }
}

/// A JSON object as lines of dotted keys.
fn lines(path: &Path, audit: &Value) -> String {
    let mut out = format!("{}\n", path.display());
    flatten("", audit, &mut out);
    out
}

fn flatten(prefix: &str, value: &Value, out: &mut String) {
    let entries = match value {
        Value::Object(entries) if !entries.is_empty() => entries,
        Value::Object(_) => return,
        other => {
            *out += &format!("{prefix:<64} {}\n", other.to_string().trim_matches('"'));
            return;
        }
    };
    for (key, value) in entries {
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        flatten(&name, value, out);
    }
}
