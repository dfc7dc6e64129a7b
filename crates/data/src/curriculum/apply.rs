//! A curriculum over a data set.

use super::{Curriculum, Difficulty, Plan, arrange};
use crate::DataError;
use crate::construct::dataset::{Dataset, Row};
use crate::construct::records::characters;
use crate::record::Record;

impl Curriculum {
    /// The rows in the order of the curriculum, with their stage, from 0, in the column `stage` where there are several.
    ///
    /// # Errors
    /// As [`arrange`]; a column that the set does not have.
    pub fn apply(&self, rows: &Dataset, records: &[Record], seed: u64) -> Result<(Dataset, Plan), DataError> {
        let plan = arrange(&self.measure(rows, records)?, self, seed)?;
        let mut ordered = rows.select(&plan.order);
        if plan.stages.len() > 1 {
            let stages = plan.stage_of_places().into_iter().map(|stage| stage as f64).collect();
            ordered.columns.insert("stage".to_owned(), stages);
        }
        Ok((ordered, plan))
    }

    /// The difficulty of each row.
    ///
    /// # Errors
    /// A column that the set does not have.
    pub fn measure(&self, rows: &Dataset, records: &[Record]) -> Result<Vec<f64>, DataError> {
        if self.by == Difficulty::Length {
            return Ok(rows.rows.iter().map(|row| length(row, records) as f64).collect());
        }
        let columns = self.by.columns().into_iter().map(|name| column(rows, name)).collect::<Result<Vec<_>, _>>()?;
        let values = |row: usize| columns.iter().map(|column| column[row]).collect::<Vec<_>>();
        Ok((0..rows.len()).map(|row| self.by.of(&values(row)).unwrap_or(f64::NAN)).collect())
    }
}

fn column<'d>(rows: &'d Dataset, name: &str) -> Result<&'d Vec<f64>, DataError> {
    rows.columns.get(name).ok_or_else(|| {
        let there: Vec<String> = rows.columns.keys().map(|name| format!("`{name}`")).collect();
        let reason = match there.is_empty() {
            true => format!("the {} have no columns of numbers", rows.kind.name()),
            false => {
                format!("the {} have the columns {}; carry the aspect that holds it", rows.kind.name(), there.join(", "))
            }
        };
        DataError::config("curriculum.by", name, reason)
    })
}

/// Characters of the prompt and the longest completion.
fn length(row: &Row, records: &[Record]) -> usize {
    characters(&records[row.record].prompt) + row.characters(records).into_iter().max().unwrap_or(0)
}
