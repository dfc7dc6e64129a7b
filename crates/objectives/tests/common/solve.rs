//! Losses and gradients of a plain batch.

use dfdx::prelude::*;
use tropism_core::{
    Columns, Diagnostics, ListLogps, PairLogps, PairScores, PairTokens, RevisionLogps, ScoreTable, ScoredPairs,
    SequenceLogps, TokenLogps, TripleLogps, ValuedTokens,
};
use tropism_objectives::{Batch, Input, InputKind, Objective};

use super::plain::{Plain, Side};

/// What a loss gives for a batch.
#[derive(Debug)]
pub(crate) struct Solved {
    /// Each row's share of the step's loss: its sum is the loss.
    pub(crate) shares: Vec<f64>,
    /// Losses per row of each part.
    pub(crate) parts: Vec<Vec<f64>>,
    pub(crate) denominators: Vec<f64>,
    pub(crate) loss: f64,
    /// Gradients of the loss in each side's policy input.
    pub(crate) grads: Vec<Vec<f64>>,
    pub(crate) diagnostics: Diagnostics,
}

type Vector<E, T> = Tensor<(usize,), E, Cpu, T>;
type Table<E, T> = Tensor<(usize, usize), E, Cpu, T>;

/// Solves a batch as a step of its own.
pub(crate) fn solve<E: Dtype>(objective: &Objective, plain: &Plain) -> Solved
where
    Cpu: Device<E>,
{
    solve_in::<E>(objective, plain, None)
}

/// Solves a batch as a part of a step with the given denominators.
pub(crate) fn solve_in<E: Dtype>(objective: &Objective, plain: &Plain, whole: Option<&[f64]>) -> Solved
where
    Cpu: Device<E>,
{
    let mut leaves = Leaves::<E>::default();
    let input = input(objective, plain, &mut leaves);
    let mut columns = Columns::default();
    for (column, values) in &plain.columns {
        columns = columns.with(column.name, values.clone()).unwrap();
    }
    let terms = objective.loss(Batch::from(input).with_columns(columns)).unwrap();
    let (parts, own, diagnostics) = (terms.part_values(), terms.denominators(), terms.diagnostics.clone());
    let denominators = whole.map_or(own.clone(), <[f64]>::to_vec);
    let share = |row: usize| {
        let each = parts.iter().zip(&denominators).filter(|(_, d)| **d > 0.0);
        each.map(|(part, d)| part[row] / d).sum::<f64>()
    };
    let shares = (0..plain.rows).map(share).collect();
    let loss = terms.into_scaled(&denominators).unwrap();
    let value = tropism_core::numerics::to_f64(&loss)[0];
    let grads = leaves.grads(&loss.backward());
    Solved { shares, parts, denominators: own, loss: value, grads, diagnostics }
}

/// The tensors of which gradients are asked.
enum Leaf<E: Dtype>
where
    Cpu: Device<E>,
{
    Vector(Vector<E, NoneTape>),
    Table(Table<E, NoneTape>),
}

struct Leaves<E: Dtype>(Vec<Leaf<E>>)
where
    Cpu: Device<E>;

impl<E: Dtype> Default for Leaves<E>
where
    Cpu: Device<E>,
{
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<E: Dtype> Leaves<E>
where
    Cpu: Device<E>,
{
    fn vector(&mut self, values: &[f64]) -> Vector<E, OwnedTape<E, Cpu>> {
        let leaf = vector::<E>(values);
        self.0.push(Leaf::Vector(leaf.clone()));
        leaf.leaky_trace()
    }

    fn table(&mut self, values: &[f64], rows: usize) -> Table<E, OwnedTape<E, Cpu>> {
        let leaf = table::<E>(values, rows);
        self.0.push(Leaf::Table(leaf.clone()));
        leaf.leaky_trace()
    }

    fn grads(&self, grads: &Gradients<E, Cpu>) -> Vec<Vec<f64>> {
        let each = self.0.iter().map(|leaf| match leaf {
            Leaf::Vector(t) => tropism_core::numerics::to_f64(&grads.get(t)),
            Leaf::Table(t) => tropism_core::numerics::to_f64(&grads.get(t)),
        });
        each.collect()
    }
}

fn vector<E: Dtype>(values: &[f64]) -> Vector<E, NoneTape>
where
    Cpu: Device<E>,
{
    Cpu::default().tensor_from_vec(values.iter().map(|&v| E::from_f64(v).unwrap()).collect(), (values.len(),))
}

fn table<E: Dtype>(values: &[f64], rows: usize) -> Table<E, NoneTape>
where
    Cpu: Device<E>,
{
    let cells = values.iter().map(|&v| E::from_f64(v).unwrap()).collect();
    Cpu::default().tensor_from_vec(cells, (rows, values.len() / rows))
}

/// The typed input of a plain batch.
fn input<E: Dtype>(
    objective: &Objective,
    plain: &Plain,
    leaves: &mut Leaves<E>,
) -> Input<usize, usize, E, Cpu, OwnedTape<E, Cpu>>
where
    Cpu: Device<E>,
{
    let (s, rows, needs) = (&plain.sides, plain.rows, objective.needs_reference());
    let mut own = |k: usize| SequenceLogps::new(leaves.vector(&s[k].policy), &s[k].lengths).unwrap();
    let theirs = |k: usize| SequenceLogps::new(vector::<E>(&s[k].reference), &s[k].lengths).unwrap();
    let pair = || PairLogps::from_sequences(theirs(0), theirs(1)).unwrap();
    match plain.kind {
        InputKind::Completions => Input::Completions(own(0), needs.then(|| theirs(0))),
        InputKind::Pairs => {
            let policy = PairLogps::from_sequences(own(0), own(1)).unwrap();
            Input::Pairs(policy, needs.then(pair))
        }
        InputKind::Triples => {
            let policy = TripleLogps::new(PairLogps::from_sequences(own(0), own(1)).unwrap(), own(2)).unwrap();
            Input::Triples(policy, needs.then(|| TripleLogps::new(pair(), theirs(2)).unwrap()))
        }
        InputKind::Scores => {
            Input::Scores(PairScores::new(leaves.vector(&s[0].policy), leaves.vector(&s[1].policy)).unwrap())
        }
        InputKind::ScoredPairs => {
            let pairs = PairLogps::from_sequences(own(0), own(1)).unwrap();
            let scores = PairScores::new(leaves.vector(&s[2].policy), leaves.vector(&s[3].policy)).unwrap();
            let theirs = || PairScores::new(vector::<E>(&s[2].reference), vector::<E>(&s[3].reference)).unwrap();
            let reference = needs.then(|| ScoredPairs::new(pair(), theirs()).unwrap());
            Input::ScoredPairs(ScoredPairs::new(pairs, scores).unwrap(), reference)
        }
        InputKind::Revisions => {
            let mut own = |k: usize| PairLogps::from_sequences(own(k), own(k + 1)).unwrap();
            let theirs = |k: usize| PairLogps::from_sequences(theirs(k), theirs(k + 1)).unwrap();
            let policy = RevisionLogps::new(own(0), own(2), own(4)).unwrap();
            Input::Revisions(policy, needs.then(|| RevisionLogps::new(theirs(0), theirs(2), theirs(4)).unwrap()))
        }
        InputKind::ValuedTokens => {
            let policy = tokens(leaves.table(&s[0].policy, rows), &s[0]);
            let values = ScoreTable::new(leaves.table(&s[1].policy, rows), &s[1].mask).unwrap();
            let reference = needs.then(|| tokens(table::<E>(&s[0].reference, rows), &s[0]));
            Input::ValuedTokens(ValuedTokens::new(policy, values).unwrap(), reference)
        }
        InputKind::CompletionTokens => {
            let policy = tokens(leaves.table(&s[0].policy, rows), &s[0]);
            Input::CompletionTokens(policy, needs.then(|| tokens(table::<E>(&s[0].reference, rows), &s[0])))
        }
        InputKind::PairTokens => {
            let mut own = |k: usize| tokens(leaves.table(&s[k].policy, rows), &s[k]);
            let theirs = |k: usize| tokens(table::<E>(&s[k].reference, rows), &s[k]);
            let policy = PairTokens::new(own(0), own(1)).unwrap();
            Input::PairTokens(policy, needs.then(|| PairTokens::new(theirs(0), theirs(1)).unwrap()))
        }
        InputKind::Lists => {
            let policy = ListLogps::new(leaves.table(&s[0].policy, rows), &s[0].mask, &s[0].lengths).unwrap();
            let reference = || ListLogps::new(table::<E>(&s[0].reference, rows), &s[0].mask, &s[0].lengths).unwrap();
            Input::Lists(policy, needs.then(reference))
        }
        InputKind::ScoreTables => Input::ScoreTables(ScoreTable::new(leaves.table(&s[0].policy, rows), &s[0].mask).unwrap()),
        other => panic!("the harness does not know {other}"),
    }
}

fn tokens<E: Dtype, T: Tape<E, Cpu>>(logps: Table<E, T>, side: &Side) -> TokenLogps<usize, usize, E, Cpu, T>
where
    Cpu: Device<E>,
{
    TokenLogps::new(logps, &side.mask).unwrap().with_prompt(&side.prompt).unwrap()
}
