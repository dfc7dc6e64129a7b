//! Controls on the pairs of a construction: how many per prompt, how long their sides, how wrong their labels.
//!
//! They run in the order of [`Controls`]: pairs per prompt, ratio of lengths, balance of lengths, label noise.

mod balance;
mod cap;
mod noise;

pub use balance::{balance, within_ratio};
pub use cap::{Prefer, cap};
pub use noise::flips;

use serde::{Deserialize, Serialize};

use super::dataset::{Dataset, Kind, Prompted};
use crate::DataError;
use crate::record::Record;

/// Which controls apply.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Controls {
    /// Most pairs of one prompt.
    pub max_per_prompt: Option<usize>,
    /// Which pairs of a prompt stay.
    pub prefer: Prefer,
    /// Largest ratio of the longer side to the shorter one, in characters, at least 1.
    pub max_length_ratio: Option<f64>,
    /// Leave out pairs until the chosen side is the longer one as often as the rejected one.
    pub balance_lengths: bool,
    /// Share of the pairs whose sides are swapped, each with this probability.
    pub label_noise: f64,
}

/// What one control did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlAudit {
    /// The control, by its key.
    pub control: String,
    /// Rows before.
    pub before: usize,
    /// Rows after.
    pub after: usize,
    /// Rows changed but kept.
    pub changed: usize,
}

impl Controls {
    /// Checks the values.
    ///
    /// # Errors
    /// A cap of 0, a ratio below 1, noise outside 0 to 1, a preference without a cap.
    pub fn check(&self) -> Result<(), DataError> {
        if self.max_per_prompt == Some(0) {
            return Err(DataError::config("max_per_prompt", 0, "must be at least 1"));
        }
        if self.max_per_prompt.is_none() && self.prefer != Prefer::default() {
            return Err(DataError::config("prefer", self.prefer.name(), "has no effect without `max_per_prompt`; set that"));
        }
        if let Some(ratio) = self.max_length_ratio.filter(|&ratio| !(ratio >= 1.0 && ratio.is_finite())) {
            return Err(DataError::config("max_length_ratio", ratio, "must be at least 1"));
        }
        if !(0.0..=1.0).contains(&self.label_noise) {
            return Err(DataError::config("label_noise", self.label_noise, "must lie between 0 and 1"));
        }
        Ok(())
    }

    /// Applies the controls, in their order. Swapped pairs get 1 in the column `flipped`, where there is noise; `score_gap` keeps
    /// the size of the gap, everything that belongs to a side goes with it.
    ///
    /// # Errors
    /// As [`Controls::check`]; controls of pairs on rows of another kind; no row left.
    pub fn apply(
        &self,
        rows: Dataset,
        records: &[Record],
        seed: u64,
        audit: &mut Vec<ControlAudit>,
    ) -> Result<Dataset, DataError> {
        self.check()?;
        if *self == Self::default() {
            return Ok(rows);
        }
        if !matches!(rows.kind, Kind::Pairs | Kind::Joint) {
            let reason = format!("they control pairs, and the construction makes {}; leave them out", rows.kind.name());
            return Err(DataError::config("controls", "set", reason));
        }
        let mut run = Run { rows, records, seed, audit };
        run.cap(self)?;
        run.lengths(self)?;
        run.noise(self)?;
        Ok(run.rows)
    }
}

struct Run<'a> {
    rows: Dataset,
    records: &'a [Record],
    seed: u64,
    audit: &'a mut Vec<ControlAudit>,
}

impl Run<'_> {
    fn cap(&mut self, controls: &Controls) -> Result<(), DataError> {
        let Some(most) = controls.max_per_prompt else { return Ok(()) };
        let keys: Vec<String> = self.rows.rows.iter().map(|row| self.records[row.record].prompt_key()).collect();
        let none = Vec::new();
        let gaps = self.rows.columns.get("score_gap").unwrap_or(&none);
        let kept = cap(&keys, gaps, most, controls.prefer, self.seed);
        self.keep("max_per_prompt", &kept)
    }

    fn lengths(&mut self, controls: &Controls) -> Result<(), DataError> {
        if let Some(ratio) = controls.max_length_ratio {
            let kept = within_ratio(&self.both(), ratio);
            self.keep("max_length_ratio", &kept)?;
        }
        if controls.balance_lengths {
            let kept = balance(&self.both(), self.seed);
            self.keep("balance_lengths", &kept)?;
        }
        Ok(())
    }

    /// Characters of both sides of each row.
    fn both(&self) -> Vec<[usize; 2]> {
        let sides = |row: &super::dataset::Row| match row.characters(self.records)[..] {
            [chosen, rejected] => [chosen, rejected],
            // pairs have two sides
            _ => [0, 0],
        };
        self.rows.rows.iter().map(sides).collect()
    }

    fn keep(&mut self, control: &str, kept: &[usize]) -> Result<(), DataError> {
        let before = self.rows.len();
        if kept.is_empty() {
            let reason = format!("`{control}` leaves none of {before}; loosen it");
            return Err(DataError::NoRows { what: "controls".to_owned(), reason });
        }
        self.rows = self.rows.select(kept);
        self.audit.push(ControlAudit { control: control.to_owned(), before, after: kept.len(), changed: 0 });
        Ok(())
    }

    fn noise(&mut self, controls: &Controls) -> Result<(), DataError> {
        if controls.label_noise == 0.0 {
            return Ok(());
        }
        if self
            .rows
            .rows
            .iter()
            .any(|row| row.rejected_record.is_some() || matches!(row.prompted, Prompted::Continued { .. }))
        {
            let reason =
                "sides of joint pairs and of segments have prompts of their own and cannot be swapped; leave it out";
            return Err(DataError::config("label_noise", controls.label_noise, reason));
        }
        let keys: Vec<String> = self.rows.rows.iter().map(|row| self.pair_key(row)).collect();
        let flipped = flips(&keys, controls.label_noise, self.seed);
        for row in (0..flipped.len()).filter(|&row| flipped[row]) {
            self.swap(row);
        }
        let changed = flipped.iter().filter(|&&flip| flip).count();
        self.rows.columns.insert("flipped".to_owned(), flipped.iter().map(|&flip| f64::from(u8::from(flip))).collect());
        let count = self.rows.len();
        self.audit.push(ControlAudit { control: "label_noise".to_owned(), before: count, after: count, changed });
        Ok(())
    }

    /// What a pair's noise is drawn by: prompt and both texts.
    fn pair_key(&self, row: &super::dataset::Row) -> String {
        let record = &self.records[row.record];
        let texts: Vec<String> = row.parts.iter().map(|part| record.responses[part.response].content.key()).collect();
        format!("{}/{}", record.prompt_key(), texts.join("/"))
    }

    fn swap(&mut self, row: usize) {
        self.rows.rows[row].parts.swap(0, 1);
        let sides: Vec<String> =
            self.rows.columns.keys().filter_map(|name| name.strip_suffix("/chosen").map(str::to_owned)).collect();
        for name in sides {
            let [chosen, rejected] = ["chosen", "rejected"].map(|side| format!("{name}/{side}"));
            let values = [&chosen, &rejected].map(|name| self.rows.columns.get(name).map(|column| column[row]));
            if let [Some(a), Some(b)] = values {
                for (name, value) in [(chosen, b), (rejected, a)] {
                    if let Some(column) = self.rows.columns.get_mut(&name) {
                        column[row] = value;
                    }
                }
            }
        }
        let margins =
            self.rows.columns.iter_mut().filter(|(name, _)| name.starts_with("margin/") || *name == "label_log_odds");
        margins.for_each(|(_, column)| column[row] = -column[row]);
    }
}
