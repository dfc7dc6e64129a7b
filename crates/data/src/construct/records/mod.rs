//! Strategies run over records.

mod audit;
mod list;
mod lists;
mod pairs;
mod score;
mod special;

pub use audit::ConstructAudit;
pub use score::{ScoreBy, characters};

use super::dataset::{Dataset, Kind};
use super::{Scores, Strategy};
use crate::DataError;
use crate::record::Record;
use list::List;

/// What a construction made: one set of rows, or two.
#[derive(Debug, Clone, PartialEq)]
pub struct Constructed {
    /// The rows.
    pub rows: Dataset,
    /// Right traces for a supervised stage, of the strategy `traces`.
    pub positives: Option<Dataset>,
    /// What was used and left out.
    pub audit: ConstructAudit,
}

/// Builds rows from records.
///
/// A response without text or without score takes no part; a pair of equal texts is left out; both are counted. The same
/// records, options and seed give the same rows, and the rows of a prompt depend on no other prompt but for joint pairs.
/// Numbers of the records ([`Record::numbers`]) become columns where all records have them.
///
/// ```
/// use tropism_data::construct::records::{ScoreBy, construct};
/// use tropism_data::construct::{BestWorst, Strategy};
/// use tropism_data::record::{Record, Response, Source, Text};
/// let mut record = Record::new(Source::row("made up", 1), Text::Plain("2 + 2 =".into()));
/// for (text, score) in [(" 5", 0.1), (" 4", 0.9)] {
///     record.responses.push(Response { score: Some(score), ..Response::new(Text::Plain(text.into())) });
/// }
/// let records = [record];
/// let made = construct(&records, &BestWorst::default().into(), &ScoreBy::Auto, 0)?;
/// assert_eq!(made.rows.item(0, &records).completions[0], Text::Plain(" 4".into()));
/// assert_eq!(made.rows.columns["score_gap"], [0.8]);
/// # Ok::<(), tropism_data::DataError>(())
/// ```
///
/// # Errors
/// Options that make no sense; a figure that the responses do not have; plain text where it is needed; no row at all.
pub fn construct(records: &[Record], strategy: &Strategy, score: &ScoreBy, seed: u64) -> Result<Constructed, DataError> {
    strategy.check()?;
    let by = match strategy {
        // these look at other figures
        Strategy::Information(_) | Strategy::Directions(_) => ScoreBy::None,
        Strategy::AspectPairs(options) => ScoreBy::Aspect(options.aspect.clone()),
        _ => score.settle(records)?,
    };
    let mut build = Build::new(strategy, &by, seed);
    match strategy {
        Strategy::Joint(options) => build.joint(records, options, &by)?,
        _ => {
            for (at, record) in records.iter().enumerate() {
                let list = List::new(at, record, &by, &mut build.audit);
                build.list(&list, strategy)?;
            }
        }
    }
    build.finish(records)
}

/// Rows on the way.
struct Build {
    rows: Dataset,
    positives: Option<Dataset>,
    audit: ConstructAudit,
    seed: u64,
}

impl Build {
    fn new(strategy: &Strategy, by: &ScoreBy, seed: u64) -> Self {
        let audit = ConstructAudit { strategy: strategy.name().to_owned(), score: named(by), ..ConstructAudit::default() };
        let positives = matches!(strategy, Strategy::Traces(_)).then(|| Dataset::new(Kind::Samples));
        let kind = match strategy {
            Strategy::Directions(options) if options.pairs => Kind::Pairs,
            _ => strategy.kind(),
        };
        Self { rows: Dataset::new(kind), positives, audit, seed }
    }

    /// The rows of one prompt.
    fn list(&mut self, list: &List<'_>, strategy: &Strategy) -> Result<(), DataError> {
        let before = self.made();
        self.audit.prompts += 1;
        self.audit.responses += list.record.responses.len();
        let scores = Scores::new(&list.key, &list.scores)?;
        let reason = match strategy {
            Strategy::Ranking(_) | Strategy::Unpaired(_) | Strategy::Groups(_) => self.lists(list, &scores, strategy),
            Strategy::AspectPairs(options) => self.aspects(list, &scores, options)?,
            Strategy::Directions(options) => self.directions(list, options)?,
            Strategy::Traces(options) => self.traces(list, &scores, options),
            Strategy::Segments(options) => self.segments(list, &scores, options)?,
            Strategy::Information(options) => self.information(list, options)?,
            _ => self.pairs(list, &scores, strategy),
        };
        if self.made() > before {
            self.audit.used += 1;
        } else {
            self.audit.skip(reason.unwrap_or("all pairs left out"), list.record);
        }
        Ok(())
    }

    fn made(&self) -> usize {
        self.rows.len() + self.positives.as_ref().map_or(0, Dataset::len)
    }

    fn finish(mut self, records: &[Record]) -> Result<Constructed, DataError> {
        self.audit.rows = self.rows.len();
        if self.rows.is_empty() {
            let skipped = self.audit.skipped.iter().chain(&self.audit.left_out);
            let reasons: Vec<String> = skipped.map(|(reason, rows)| format!("{reason}: {}", rows.count)).collect();
            let reason = format!("none of {} prompts gave a row ({})", self.audit.prompts, reasons.join(", "));
            return Err(DataError::NoRows { what: format!("construction `{}`", self.audit.strategy), reason });
        }
        carry_numbers(&mut self.rows, records);
        Ok(Constructed { rows: self.rows, positives: self.positives, audit: self.audit })
    }
}

/// Columns of the records that every row's record has, unless the construction made one of that name.
fn carry_numbers(rows: &mut Dataset, records: &[Record]) {
    let Some(first) = rows.rows.first() else { return };
    for name in records[first.record].numbers.keys() {
        let values: Option<Vec<f64>> = rows.rows.iter().map(|row| records[row.record].numbers.get(name).copied()).collect();
        if let Some(values) = values {
            rows.columns.entry(name.clone()).or_insert(values);
        }
    }
}

/// Adds aspects of the responses as numbers: two columns `NAME/chosen` and `NAME/rejected` for pairs, a column `NAME` for rows of
/// one completion, cells `NAME` for rankings and groups.
///
/// # Errors
/// A response without that aspect, by its row.
pub fn carry_aspects(rows: &mut Dataset, records: &[Record], names: &[String]) -> Result<(), DataError> {
    for name in names {
        let values = rows.rows.iter().map(|row| aspects_of(row, records, name)).collect::<Result<Vec<_>, _>>()?;
        let side = |place: usize| values.iter().map(|values| values[place]).collect::<Vec<_>>();
        match rows.kind {
            Kind::Pairs | Kind::Joint => {
                rows.columns.insert(format!("{name}/chosen"), side(0));
                rows.columns.insert(format!("{name}/rejected"), side(1));
            }
            Kind::Unpaired | Kind::Samples => {
                rows.columns.insert(name.clone(), side(0));
            }
            Kind::Rankings | Kind::Groups => {
                rows.cells.insert(name.clone(), values);
            }
        }
    }
    Ok(())
}

fn aspects_of(row: &super::dataset::Row, records: &[Record], name: &str) -> Result<Vec<f64>, DataError> {
    let value = |(place, part): (usize, &super::dataset::Part)| {
        let record = &records[row.rejected_record.filter(|_| place > 0).unwrap_or(row.record)];
        let aspects = &record.responses[part.response].aspects;
        aspects.get(name).copied().filter(|value| value.is_finite()).ok_or_else(|| {
            let there: Vec<&String> = aspects.keys().collect();
            let reason = format!("response {} has no aspect `{name}` to carry; it has {there:?}", part.response + 1);
            DataError::row(&record.source, reason)
        })
    };
    row.parts.iter().enumerate().map(value).collect()
}

fn named(by: &ScoreBy) -> String {
    match by {
        ScoreBy::Aspect(name) => format!("aspect {name}"),
        other => serde_json::to_value(other).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default(),
    }
}
