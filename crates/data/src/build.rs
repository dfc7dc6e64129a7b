//! From records to rows that are ready to be written: split, construction, controls, curriculum.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::DataError;
use crate::construct::controls::Controls;
use crate::construct::dataset::{Dataset, Kind};
use crate::construct::records::{ConstructAudit, ScoreBy, carry_aspects, construct};
use crate::construct::{BestWorst, Strategy};
use crate::curriculum::Curriculum;
use crate::record::Record;
use crate::split::split_by_prompt;

/// What is built.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BuildOptions {
    /// Seed of every random choice.
    pub seed: u64,
    /// The figure that ranks responses.
    pub score: ScoreBy,
    /// Aspects that go along as columns: `reward` becomes `reward/chosen` and `reward/rejected`.
    pub carry: Vec<String>,
    /// Which responses are set against which.
    pub construct: Strategy,
    /// Controls on pairs.
    pub controls: Controls,
    /// The order of the training rows; none: as constructed.
    pub curriculum: Option<Curriculum>,
    /// Share of the prompts that is held out; none: all are for training.
    pub test_fraction: Option<f64>,
}

impl Default for BuildOptions {
    fn default() -> Self {
        Self {
            seed: 0,
            score: ScoreBy::default(),
            carry: Vec::new(),
            construct: BestWorst::default().into(),
            controls: Controls::default(),
            curriculum: None,
            test_fraction: None,
        }
    }
}

impl BuildOptions {
    /// Checks the values, before any file is read.
    ///
    /// # Errors
    /// Names the first option that makes no sense.
    pub fn check(&self) -> Result<(), DataError> {
        self.construct.check()?;
        self.controls.check()?;
        self.curriculum.as_ref().map_or(Ok(()), Curriculum::check)?;
        match self.test_fraction {
            Some(share) if !(share > 0.0 && share < 1.0) => Err(DataError::config(
                "test_fraction",
                share,
                "must lie between 0 and 1, both excluded; leave it out for none",
            )),
            _ => Ok(()),
        }
    }
}

/// One set of rows, with the records that its texts are in.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Its name: `train`, `test` or `positives`.
    pub name: String,
    /// The rows.
    pub rows: Dataset,
}

/// What was built.
#[derive(Debug, Clone, PartialEq)]
pub struct Built {
    /// The records, those held out last.
    pub records: Vec<Record>,
    /// The sets of rows.
    pub parts: Vec<Part>,
    /// What was used and left out, by split.
    pub audit: BTreeMap<String, ConstructAudit>,
}

/// Splits records by prompt, and builds the rows of each side.
///
/// Held-out rows get no label noise and keep their order: they measure what was learned. The split comes before the
/// construction, so no joint pair crosses it.
///
/// ```
/// use tropism_data::build::{BuildOptions, build};
/// use tropism_data::record::{Record, Response, Source, Text};
/// let records = (1..=20).map(|row| {
///     let mut record = Record::new(Source::row("made up", row), Text::Plain(format!("{row} + 1 =")));
///     let response = |text: String, score| Response { score: Some(score), ..Response::new(Text::Plain(text)) };
///     record.responses = vec![response(format!(" {row}"), 0.0), response(format!(" {}", row + 1), 1.0)];
///     record
/// });
/// let built = build(records.collect(), &BuildOptions { test_fraction: Some(0.2), ..BuildOptions::default() })?;
/// assert_eq!(built.parts.iter().map(|part| part.rows.len()).sum::<usize>(), 20);
/// # Ok::<(), tropism_data::DataError>(())
/// ```
///
/// # Errors
/// As [`BuildOptions::check`]; those of the steps; a side without rows.
pub fn build(records: Vec<Record>, options: &BuildOptions) -> Result<Built, DataError> {
    options.check()?;
    let (train, test) = match options.test_fraction {
        Some(share) => split_by_prompt(records, Record::prompt_key, share, options.seed)?,
        None => (records, Vec::new()),
    };
    let (mut parts, mut audit) = (Vec::new(), BTreeMap::new());
    side("train", &train, options, 0, &mut parts, &mut audit)?;
    if options.test_fraction.is_some() {
        let held_out = BuildOptions {
            controls: Controls { label_noise: 0.0, ..options.controls.clone() },
            curriculum: None,
            ..options.clone()
        };
        side("test", &test, &held_out, train.len(), &mut parts, &mut audit)?;
    }
    let mut records = train;
    records.extend(test);
    Ok(Built { records, parts, audit })
}

/// The rows of one side of the split, whose records begin at `offset` of all of them.
fn side(
    name: &str,
    records: &[Record],
    options: &BuildOptions,
    offset: usize,
    parts: &mut Vec<Part>,
    audit: &mut BTreeMap<String, ConstructAudit>,
) -> Result<(), DataError> {
    let mut made = construct(records, &options.construct, &options.score, options.seed)?;
    carry_aspects(&mut made.rows, records, &options.carry)?;
    let mut rows = options.controls.apply(made.rows, records, options.seed, &mut made.audit.controls)?;
    if let Some(curriculum) = &options.curriculum {
        rows = curriculum.apply(&rows, records, options.seed)?.0;
    }
    parts.push(Part { name: name.to_owned(), rows: moved(rows, offset) });
    if let (Some(positives), "train") = (made.positives, name) {
        parts.push(Part { name: "positives".to_owned(), rows: moved(positives, offset) });
    }
    audit.insert(name.to_owned(), made.audit);
    Ok(())
}

fn moved(mut rows: Dataset, offset: usize) -> Dataset {
    for row in &mut rows.rows {
        row.record += offset;
        row.rejected_record = row.rejected_record.map(|record| record + offset);
    }
    rows
}

impl Built {
    /// The rows of a part.
    pub fn part(&self, name: &str) -> Option<&Dataset> {
        self.parts.iter().find(|part| part.name == name).map(|part| &part.rows)
    }

    /// What the training rows are.
    pub fn kind(&self) -> Option<Kind> {
        self.part("train").map(|rows| rows.kind)
    }

    /// The training pairs with their texts and numbers; nothing for rows of another kind.
    pub fn pairs(&self, part: &str) -> Option<Vec<crate::record::Pair>> {
        let rows = self.part(part).filter(|rows| rows.kind == Kind::Pairs)?;
        (0..rows.len()).map(|row| rows.item(row, &self.records).into_pair(rows.numbers(row))).collect()
    }
}
