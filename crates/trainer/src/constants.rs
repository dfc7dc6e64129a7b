//! The constants that an objective reads beside log-probabilities.
use crate::error::TrainError;
use crate::feed::Feed;
use crate::rows::{RowKind, Rows};
use crate::run::StageRun;
use crate::score::score_rows;
use dfdx::prelude::*;
use tropism_core::Columns;
use tropism_data::pack::Packed;
use tropism_data::stream::Stream;
use tropism_lm::Dims;
use tropism_objectives::{Column, DESIRABLE, Objective, Per, kl_baseline};
use tropism_ops::Scalar;

const BASELINE: &str = "kl_baseline";
const SQUARES: [&str; 2] = ["log_sum_sq_probs/chosen", "log_sum_sq_probs/rejected"];
const SAMPLED: [&str; 2] = ["sampled/chosen", "sampled/rejected"];

/// Whether the objective reads `log sum p^2` of the policy.
pub(crate) fn reads_squares(objective: &Objective) -> bool {
    objective.columns().iter().any(|c| SQUARES.contains(&c.name))
}

/// Whether the objective reads a KL baseline, for which rows are scored with completions of other prompts.
pub(crate) fn reads_baseline(objective: &Objective) -> bool {
    objective.columns().iter().any(|c| c.name == BASELINE)
}

/// Why a stage cannot give an objective one of its columns; nothing where it can.
pub(crate) fn lacking(objective: &Objective, rows: &Rows) -> Option<String> {
    let made = |c: &Column| match rows.kind() {
        RowKind::Unpaired => c.name == DESIRABLE.name || c.name == BASELINE,
        RowKind::Pairs => SQUARES.contains(&c.name) || SAMPLED.contains(&c.name),
        RowKind::Samples | RowKind::Triples | RowKind::Revisions => false,
    };
    let column = objective.columns().into_iter().find(|c| !made(c) && rows.numbers(c.name).is_none())?;
    let name = objective.name();
    if ![RowKind::Samples, RowKind::Unpaired].contains(&rows.kind()) && column.per == Per::Row {
        return Some(format!(
            "{name} reads `{}`, which not all rows have; the data need a column of that name",
            column.name
        ));
    }
    Some(format!("{name} reads `{}`, which a stage cannot give it yet", column.name))
}

impl<M: Dims, E: Scalar> StageRun<'_, M, E>
where
    Cpu: Device<E>,
{
    /// The KL baseline of a step, when its objective reads one: of the policy as it is, over all of the step's rows.
    pub(crate) fn baseline(&self, rows: &[usize]) -> Result<Option<f64>, TrainError> {
        let (Some(reference), Some(others)) = (&self.reference, &self.mismatched) else { return Ok(None) };
        let picked = others.pick(rows);
        let policy = score_rows(&self.policy, &picked, Feed::sums(&picked), self.stage.micro_batch_tokens)?.concat();
        let reference: Vec<f64> = rows.iter().map(|&r| reference.mismatched[r]).collect();
        Ok(Some(kl_baseline(&policy, &reference)?))
    }

    /// The columns of some rows, packed; `squares` are `log sum p^2` of all targets.
    pub(crate) fn columns(
        &self,
        rows: &[usize],
        packed: &Packed,
        baseline: Option<f64>,
        squares: Option<&[E]>,
    ) -> Result<Columns, TrainError> {
        let (objective, picked) = (&self.stage.objective, self.rows.pick(rows));
        let feed = Feed::of(objective);
        let mut columns = Columns::default();
        for column in objective.columns() {
            let side = |names: &[&str]| names.iter().position(|n| *n == column.name);
            let values = if let Some(values) = picked.numbers(column.name) {
                values
            } else if let (true, Rows::Unpaired(rows)) = (column.name == DESIRABLE.name, &picked) {
                rows.iter().map(|(_, good)| f64::from(u8::from(*good))).collect()
            } else if column.name == BASELINE {
                vec![baseline.unwrap_or(0.0); rows.len()]
            } else if let Some(side) = side(&SQUARES) {
                let values: Vec<f64> =
                    squares.map_or(vec![0.0; packed.targets.len()], |v| v.iter().map(|v| v.f()).collect());
                std::mem::take(&mut feed.columns(&values, packed)[side])
            } else if let Some(side) = side(&SAMPLED) {
                std::mem::take(&mut feed.columns(&self.sampled(rows, packed), packed)[side])
            } else {
                continue;
            };
            columns = columns.with(column.name, values)?;
        }
        Ok(columns)
    }

    /// 1 at the tokens that take part: all of a pair's shorter completion, and as many of the longer one, drawn for this row
    /// and this step.
    fn sampled(&self, rows: &[usize], packed: &Packed) -> Vec<f64> {
        let mut flags = vec![0.0; packed.targets.len()];
        for (i, &row) in rows.iter().enumerate() {
            let sides = [2 * i, 2 * i + 1].map(|s| packed.sequences[s].clone());
            let n = sides[0].len().min(sides[1].len());
            for (k, side) in sides.into_iter().enumerate() {
                let mut stream = Stream::new(self.order.state().seed, &format!("sampled/{row}/{}/{k}", self.step));
                let mut places: Vec<usize> = side.collect();
                stream.shuffle(&mut places);
                places[..n].iter().for_each(|&t| flags[t] = 1.0);
            }
        }
        flags
    }
}
