//! Losses and gradients of a plain batch.

use dfdx::prelude::*;
use tropism_core::numerics::{from_f64, to_f64};
use tropism_diffusion::DiffusionError;
use tropism_diffusion::objectives::*;

use super::plain::Plain;

/// What a loss gives for a batch.
#[derive(Debug)]
pub(crate) struct Solved {
    /// Losses of the rows.
    pub(crate) losses: Vec<f64>,
    pub(crate) weights: Vec<f64>,
    /// Of the sum of the losses, in each leaf.
    pub(crate) grads: Vec<Vec<f64>>,
    pub(crate) diagnostics: Diagnostics,
}

type Cells<E, T> = Tensor<(usize, usize), E, Cpu, T>;
type Vector<E, T> = Tensor<(usize,), E, Cpu, T>;

/// Losses of a batch, and the gradient of their sum.
pub(crate) fn solve<E: Dtype>(objective: &DiffusionObjective, plain: &Plain) -> Result<Solved, DiffusionError>
where
    Cpu: Device<E>,
{
    let dev = Cpu::default();
    let leaf = |values: &Vec<f64>| from_f64(&dev, values, (plain.rows, values.len() / plain.rows)).unwrap();
    let leaves: Vec<Cells<E, NoneTape>> = plain.leaves.iter().map(leaf).collect();
    let mut columns = Columns::default();
    for (column, values) in &plain.columns {
        columns = columns.with(column.name, values.clone()).unwrap();
    }
    let terms = objective.loss(DiffusionBatch::from(input(plain, &leaves)?).with_columns(columns))?;
    let (losses, weights, diagnostics) = (terms.values(), terms.weights.clone(), terms.diagnostics.clone());
    let grads = terms.sum()?.backward();
    let grads = leaves.iter().map(|leaf| to_f64(&grads.get(leaf))).collect();
    Ok(Solved { losses, weights, grads, diagnostics })
}

fn input<E: Dtype>(
    plain: &Plain,
    leaves: &[Cells<E, NoneTape>],
) -> Result<DiffusionInput<usize, usize, E, Cpu, OwnedTape<E, Cpu>>, DiffusionError>
where
    Cpu: Device<E>,
{
    let dev = Cpu::default();
    let cells = |k: usize| leaves[k].leaky_trace();
    let vector = |k: usize| -> Vector<E, OwnedTape<E, Cpu>> { cells(k).sum::<_, Axis<1>>() };
    let optional = |k: usize| (leaves.len() > k).then(|| vector(k));
    let frozen = |k: usize| -> Vector<E, NoneTape> { from_f64(&dev, &plain.reference[k], (plain.rows,)).unwrap() };
    let table = |k: usize| -> Result<_, DiffusionError> {
        let values = &plain.reference[k];
        ErrorTable::new(from_f64(&dev, values, (plain.rows, values.len() / plain.rows))?)
    };
    Ok(match plain.kind {
        DiffusionKind::Pairs => {
            DiffusionInput::Pairs(PairErrors::new(vector(0), vector(1))?, PairErrors::new(frozen(0), frozen(1))?)
        }
        DiffusionKind::PolicyPairs => DiffusionInput::PolicyPairs(PairErrors::new(vector(0), vector(1))?),
        DiffusionKind::Samples => DiffusionInput::Samples(vector(0)),
        DiffusionKind::Lists => DiffusionInput::Lists(ErrorTable::new(cells(0))?, table(0)?),
        DiffusionKind::Segments => DiffusionInput::Segments(
            SegmentPairs::new(ErrorTable::new(cells(0))?, ErrorTable::new(cells(1))?)?,
            SegmentPairs::new(table(0)?, table(1)?)?,
        ),
        DiffusionKind::StepPairs => {
            DiffusionInput::StepPairs(StepPairs::new(vector(0), vector(1))?, StepPairs::new(frozen(0), frozen(1))?)
        }
        DiffusionKind::Matches if plain.no_reference => {
            DiffusionInput::Matches(MatchErrors::new(vector(0), None, optional(1))?)
        }
        DiffusionKind::Matches => DiffusionInput::Matches(MatchErrors::new(vector(0), optional(1), optional(2))?),
        DiffusionKind::Steps => DiffusionInput::Steps(SampledSteps::new(vector(0), optional(1))?),
        other => panic!("the harness does not know {other}"),
    })
}
