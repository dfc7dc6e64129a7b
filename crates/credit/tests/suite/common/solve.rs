//! Losses and gradients of a plain batch.

use dfdx::prelude::*;
use tropism_core::numerics::to_f64;
use tropism_core::{Columns, Diagnostics, PairLogps, PairScores, PairTokens, SequenceLogps, TokenLogps};
use tropism_credit::{Credit, CreditBatch, CreditInput, CreditKind, TokenSums};

use super::plain::Plain;

/// What a loss gives for a batch.
#[derive(Debug)]
pub(crate) struct Solved {
    /// Each row's share of the step's loss: its sum is the loss.
    pub(crate) shares: Vec<f64>,
    pub(crate) denominator: f64,
    pub(crate) loss: f64,
    pub(crate) grads: Vec<Vec<f64>>,
    pub(crate) diagnostics: Diagnostics,
}

type Vector<E, T> = Tensor<(usize,), E, Cpu, T>;
type Cells<E, T> = Tensor<(usize, usize), E, Cpu, T>;

enum Leaf<E: Dtype>
where
    Cpu: Device<E>,
{
    Vector(Vector<E, NoneTape>),
    Cells(Cells<E, NoneTape>),
}

fn numbers<E: Dtype>(values: &[f64]) -> Vec<E> {
    values.iter().map(|&v| E::from_f64(v).unwrap()).collect()
}

/// Solves a batch as a step of its own, or as part of one with the given denominator.
pub(crate) fn solve<E: Dtype>(credit: &Credit, plain: &Plain, denominator: Option<f64>) -> Solved
where
    Cpu: Device<E>,
{
    let (dev, rows) = (Cpu::default(), plain.rows);
    let by_token = plain.kind == CreditKind::PairTokens;
    let leaf = |values: &Vec<f64>| match by_token {
        true => Leaf::Cells(dev.tensor_from_vec(numbers::<E>(values), (rows, values.len() / rows))),
        false => Leaf::Vector(dev.tensor_from_vec(numbers::<E>(values), (rows,))),
    };
    let leaves: Vec<Leaf<E>> = plain.leaves.iter().map(leaf).collect();
    let mut columns = Columns::default();
    for (column, values) in &plain.columns {
        columns = columns.with(column.name, values.clone()).unwrap();
    }
    let terms = credit.loss(CreditBatch::from(input(plain, &leaves)).with_columns(columns)).unwrap();
    let (own, diagnostics) = (terms.weight(), terms.diagnostics.clone());
    let whole = denominator.unwrap_or(own);
    let shares = terms.values().iter().map(|v| v / whole).collect();
    let loss = terms.into_scaled(&[whole]).unwrap();
    let value = to_f64(&loss)[0];
    let grads = loss.backward();
    let grads = leaves.iter().map(|leaf| match leaf {
        Leaf::Vector(t) => to_f64(&grads.get(t)),
        Leaf::Cells(t) => to_f64(&grads.get(t)),
    });
    Solved { shares, denominator: own, loss: value, grads: grads.collect(), diagnostics }
}

fn input<E: Dtype>(plain: &Plain, leaves: &[Leaf<E>]) -> CreditInput<usize, usize, E, Cpu, OwnedTape<E, Cpu>>
where
    Cpu: Device<E>,
{
    let (dev, rows) = (Cpu::default(), plain.rows);
    let traced = |k: usize| match &leaves[k] {
        Leaf::Vector(t) => t.leaky_trace(),
        Leaf::Cells(_) => panic!("a table where a vector belongs"),
    };
    let cells = |k: usize| match &leaves[k] {
        Leaf::Cells(t) => TokenLogps::new(t.leaky_trace(), &plain.masks[k]).unwrap().with_prompt(&plain.prompts[k]).unwrap(),
        Leaf::Vector(_) => panic!("a vector where a table belongs"),
    };
    let vector = |k: usize| -> Vector<E, NoneTape> { dev.tensor_from_vec(numbers(&plain.reference[k]), (rows,)) };
    let table = |k: usize| {
        let values = &plain.reference[k];
        let table: Cells<E, NoneTape> = dev.tensor_from_vec(numbers(values), (rows, values.len() / rows));
        TokenLogps::new(table, &plain.masks[k]).unwrap().with_prompt(&plain.prompts[k]).unwrap()
    };
    let pairs = || {
        let [w, l] = [&plain.lengths[0], &plain.lengths[1]];
        let policy = PairLogps::new(traced(0), traced(1), w, l).unwrap();
        let reference = PairLogps::new(vector(0), vector(1), w, l).unwrap();
        (policy, reference, PairScores::new(traced(2), traced(3)).unwrap())
    };
    match plain.kind {
        CreditKind::PairTokens => {
            let policy = PairTokens::new(cells(0), cells(1)).unwrap();
            CreditInput::PairTokens(policy, PairTokens::new(table(0), table(1)).unwrap())
        }
        CreditKind::PairDivergences => {
            let (policy, reference, figures) = pairs();
            CreditInput::PairDivergences(policy, reference, figures)
        }
        CreditKind::PairEnergies => {
            let (policy, reference, figures) = pairs();
            CreditInput::PairEnergies(policy, reference, figures)
        }
        CreditKind::Divergences => CreditInput::Divergences(TokenSums::new(traced(0), &plain.lengths[0]).unwrap()),
        CreditKind::Steps => {
            let steps = SequenceLogps::new(traced(0), &plain.lengths[0]).unwrap();
            CreditInput::Steps(steps, SequenceLogps::new(vector(0), &plain.lengths[0]).unwrap())
        }
        other => panic!("the harness does not know {other}"),
    }
}
