//! What is taken out of data before pairs are built: unusable records, duplicates, and what evaluations are made of.
//!
//! Everything works on records one after the other and keeps the first of what is alike, so the result does not depend on
//! how the records are cut into batches, and cleaning twice changes nothing. What is left out is counted by reason.
//!
//! | step | default | leaves out |
//! |---|---|---|
//! | [`Filter`] | on | empty and equal responses; what bounds on numbers or a cap per prompt ask |
//! | [`exact`] | on | records with prompt and responses of an earlier one, but for case and white space |
//! | [`near`] | off | records that share most runs of five words with an earlier one (MinHash) |
//! | [`contamination`] | off | records that hold a large part of an evaluation text |

pub mod contamination;
pub mod exact;
mod filter;
pub mod near;
mod words;

use serde::{Deserialize, Serialize};

use crate::DataError;
use crate::audit::Audit;
use crate::record::Record;
use contamination::Decontaminator;
use exact::Exact;
pub use filter::Filter;
use filter::Filtering;
use near::{Near, NearOptions};

/// Which steps to take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hygiene {
    /// Unusable responses and records.
    pub filter: Filter,
    /// Whether exact duplicates are left out.
    pub exact_duplicates: bool,
    /// Near duplicates; none: they stay.
    pub near_duplicates: Option<NearOptions>,
}

impl Default for Hygiene {
    fn default() -> Self {
        Self { filter: Filter::default(), exact_duplicates: true, near_duplicates: None }
    }
}

/// Cleans records as they come.
///
/// ```
/// use tropism_data::hygiene::{Cleaner, Hygiene};
/// use tropism_data::record::{Record, Response, Source, Text};
/// let record = |row, answers: [&str; 2]| {
///     let mut record = Record::new(Source::row("made up", row), Text::Plain("2 + 2 =".into()));
///     record.responses = answers.map(|text| Response::new(Text::Plain(text.into()))).into();
///     record
/// };
/// let mut cleaner = Cleaner::new(&Hygiene::default(), None)?;
/// let kept = cleaner.clean(vec![record(1, ["4", "5"]), record(2, ["4", "4"]), record(3, [" 4", "5 "])]);
/// assert_eq!(kept.len(), 1);
/// assert_eq!(cleaner.audit().dropped["identical responses"].rows, [2]);
/// assert_eq!(cleaner.audit().dropped["duplicate of an earlier record"].rows, [3]);
/// # Ok::<(), tropism_data::DataError>(())
/// ```
#[derive(Debug)]
pub struct Cleaner {
    filter: Filtering,
    decontaminator: Option<Decontaminator>,
    exact: Option<Exact>,
    near: Option<Near>,
    audit: Audit,
}

impl Cleaner {
    /// A cleaner that has seen nothing yet.
    ///
    /// # Errors
    /// Options that make no sense.
    pub fn new(options: &Hygiene, decontaminator: Option<Decontaminator>) -> Result<Self, DataError> {
        Ok(Self {
            filter: Filtering::new(&options.filter)?,
            decontaminator,
            exact: options.exact_duplicates.then(Exact::default),
            near: options.near_duplicates.as_ref().map(Near::new).transpose()?,
            audit: Audit::default(),
        })
    }

    /// The records that stay, in their order.
    pub fn clean(&mut self, records: Vec<Record>) -> Vec<Record> {
        let mut kept = Vec::with_capacity(records.len());
        for record in records {
            let row = record.source.row;
            match self.check(record) {
                Ok((record, notes)) => {
                    self.audit.keep();
                    notes.into_iter().for_each(|note| self.audit.note(note, row));
                    kept.push(record);
                }
                Err(reason) => self.audit.drop_row(&reason, row),
            }
        }
        kept
    }

    /// What was left out so far.
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    fn check(&mut self, record: Record) -> Result<(Record, Vec<&'static str>), String> {
        let (record, notes) = self.filter.apply(record)?;
        if let Some(hit) = self.decontaminator.as_ref().and_then(|decontaminator| decontaminator.check(&record)) {
            return Err(format!("holds a text of the evaluation {}", hit.evaluation));
        }
        if let Some(exact) = &mut self.exact {
            exact.admit(&record)?;
        }
        if let Some(near) = &mut self.near
            && !near.admit(&record)
        {
            return Err("near duplicate of an earlier record".to_owned());
        }
        self.filter.count(&record)?;
        Ok((record, notes))
    }
}
