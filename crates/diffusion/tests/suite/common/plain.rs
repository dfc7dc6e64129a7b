//! Batches of any kind as plain numbers, made at random.

use tropism_core::{Column, Domain, Per};
use tropism_diffusion::Stream;
use tropism_diffusion::objectives::{DiffusionKind, DiffusionObjective};

/// A batch: what is differentiated, what is not, columns. All lists go row by row.
#[derive(Clone, Debug)]
pub(crate) struct Plain {
    pub(crate) kind: DiffusionKind,
    pub(crate) rows: usize,
    /// Without errors to a reference, the second leaf is that to the slow copy.
    pub(crate) no_reference: bool,
    pub(crate) leaves: Vec<Vec<f64>>,
    pub(crate) reference: Vec<Vec<f64>>,
    pub(crate) columns: Vec<(Column, Vec<f64>)>,
}

impl Plain {
    /// A random batch for `objective`; figures of policy and reference differ by up to `change`.
    pub(crate) fn random(objective: &DiffusionObjective, rows: usize, change: f64, stream: &mut Stream) -> Self {
        let kind = objective.input();
        let k = match kind {
            DiffusionKind::Lists | DiffusionKind::Segments => 2 + stream.below(3),
            _ => 1,
        };
        let leaves = match (kind, objective) {
            (DiffusionKind::Samples | DiffusionKind::Lists, _) => 1,
            (DiffusionKind::Matches, DiffusionObjective::Awm(c)) => {
                1 + usize::from(c.beta > 0.0) + usize::from(c.beta_ema > 0.0)
            }
            (DiffusionKind::Steps, DiffusionObjective::FlowGrpo(c)) => 1 + usize::from(c.beta > 0.0),
            (DiffusionKind::Steps, _) => 1,
            _ => 2,
        };
        let draw = |stream: &mut Stream, n: usize| (0..n).map(|_| 0.05 + 2.0 * stream.uniform()).collect::<Vec<f64>>();
        let leaves: Vec<Vec<f64>> = (0..leaves).map(|_| draw(stream, rows * k)).collect();
        let near = |leaf: &Vec<f64>, stream: &mut Stream| {
            leaf.iter().map(|v| (v + change * (2.0 * stream.uniform() - 1.0)).max(0.0)).collect::<Vec<f64>>()
        };
        let reference = match kind.has_reference() {
            true => leaves.iter().map(|leaf| near(leaf, stream)).collect(),
            false => Vec::new(),
        };
        let no_reference = matches!(objective, DiffusionObjective::Awm(c) if c.beta == 0.0);
        let mut plain = Self { kind, rows, no_reference, leaves, reference, columns: Vec::new() };
        for column in objective.columns() {
            let values = plain.column(objective, &column, change, stream);
            plain.columns.push((column, values));
        }
        plain
    }

    fn column(&self, objective: &DiffusionObjective, column: &Column, change: f64, stream: &mut Stream) -> Vec<f64> {
        let entries = if column.per == Per::Row { self.rows } else { self.leaves[0].len() };
        let mut one = |row: usize| match (column.name, column.domain) {
            ("old_logps", _) => {
                let own = match objective {
                    DiffusionObjective::Awm(c) => c.proxy(self.leaves[0][row], self.times()[row]).0,
                    _ => self.leaves[0][row],
                };
                own + change * (2.0 * stream.uniform() - 1.0)
            }
            ("label" | "preference", _) => stream.below(3) as f64 - 1.0,
            ("size", _) => (1 + stream.below(4)) as f64,
            (_, Domain::Flag) => stream.below(2) as f64,
            (_, Domain::Share) => 0.05 + 0.9 * stream.uniform(),
            (_, Domain::NotNegative) => 3.0 * stream.uniform(),
            _ => 2.0 * stream.normal(),
        };
        (0..entries).map(&mut one).collect()
    }

    fn times(&self) -> Vec<f64> {
        self.columns.iter().find(|(c, _)| c.name == "time").map(|(_, v)| v.clone()).unwrap_or_default()
    }

    /// The given rows, in that order.
    pub(crate) fn pick(&self, rows: &[usize]) -> Self {
        let all = |lists: &[Vec<f64>]| lists.iter().map(|v| pick(v, self.rows, rows)).collect();
        Self {
            kind: self.kind,
            rows: rows.len(),
            no_reference: self.no_reference,
            leaves: all(&self.leaves),
            reference: all(&self.reference),
            columns: self.columns.iter().map(|(c, v)| (*c, pick(v, self.rows, rows))).collect(),
        }
    }
}

/// The entries of some rows.
pub(crate) fn pick(values: &[f64], rows: usize, picked: &[usize]) -> Vec<f64> {
    let each = values.len() / rows;
    picked.iter().flat_map(|&r| values[r * each..(r + 1) * each].to_vec()).collect()
}
