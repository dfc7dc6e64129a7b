//! From log-probabilities of tokens to what an objective reads.
use crate::error::TrainError;
use crate::rows::Rows;
use dfdx::prelude::*;
use std::ops::Range;
use tropism_core::{PairLogps, PairTokens, RevisionLogps, SequenceLogps, TokenLogps, TripleLogps};
use tropism_data::pack::Packed;
use tropism_objectives::{Input, InputKind, Objective};
use tropism_ops::{Scalar, TapeOf, cells, data, range_sums};

/// Input of the trainer's objectives.
pub(crate) type Fed<E, T = NoneTape> = Input<usize, usize, E, Cpu, T>;

/// How an objective wants its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Feed {
    kind: InputKind,
    prompt: bool,
}

/// One side's cells of a rectangle of tokens.
struct Layout {
    /// the target that stands in a cell
    cells: Vec<Option<usize>>,
    completion: Vec<bool>,
    prompt: Vec<bool>,
    width: usize,
}

impl Feed {
    pub(crate) fn of(objective: &Objective) -> Self {
        Feed { kind: objective.input(), prompt: objective.reads_prompt() }
    }

    /// Sums of whole completions, of both sides of a pair or of single ones.
    pub(crate) fn sums(rows: &Rows) -> Self {
        let kind = if rows.sides() == 2 { InputKind::Pairs } else { InputKind::Completions };
        Feed { kind, prompt: false }
    }

    pub(crate) fn by_token(self) -> bool {
        matches!(self.kind, InputKind::PairTokens | InputKind::CompletionTokens)
    }

    pub(crate) fn pack(self, rows: &Rows) -> Result<Packed, TrainError> {
        let mut packed = rows.pack()?;
        if self.prompt {
            packed.score_prompts();
        }
        Ok(packed)
    }

    /// The input for log-probabilities of all targets.
    pub(crate) fn input<E: Scalar, T: TapeOf<E>>(
        self,
        logps: Tensor<(usize,), E, Cpu, T>,
        packed: &Packed,
    ) -> Result<Fed<E, T>, TrainError>
    where
        Cpu: Device<E>,
    {
        let all: Vec<usize> = (0..packed.sequences.len()).collect();
        let side = |k: usize, of: usize| -> Vec<usize> { all.iter().copied().skip(k).step_by(of).collect() };
        let (first, second) = (side(0, 2), side(1, 2));
        let sum = |logps, side: &[usize]| -> Result<SequenceLogps<usize, E, Cpu, T>, TrainError> {
            let ranges: Vec<Range<usize>> = side.iter().map(|&s| packed.sequences[s].clone()).collect();
            let counts: Vec<usize> = ranges.iter().map(Range::len).collect();
            Ok(SequenceLogps::new(range_sums(logps, &ranges)?, &counts)?)
        };
        let lengths = |side: &[usize]| side.iter().map(|&s| packed.sequences[s].len()).collect::<Vec<_>>();
        let pair = |logps: Tensor<(usize,), E, Cpu, T>, chosen: &[usize], rejected: &[usize]| {
            let lost = sum(logps.with_empty_tape(), rejected)?;
            let won = sum(logps, chosen)?;
            Ok::<_, TrainError>(PairLogps::new(won.logps, lost.logps, &lengths(chosen), &lengths(rejected))?)
        };
        Ok(match self.kind {
            InputKind::Pairs => Input::Pairs(pair(logps, &first, &second)?, None),
            InputKind::Triples => {
                let third = sum(logps.with_empty_tape(), &side(2, 3))?;
                Input::Triples(TripleLogps::new(pair(logps, &side(0, 3), &side(1, 3))?, third)?, None)
            }
            InputKind::Revisions => {
                let after_rejected = pair(logps.with_empty_tape(), &side(2, 6), &side(3, 6))?;
                let after_chosen = pair(logps.with_empty_tape(), &side(4, 6), &side(5, 6))?;
                let plain = pair(logps, &side(0, 6), &side(1, 6))?;
                Input::Revisions(RevisionLogps::new(plain, after_rejected, after_chosen)?, None)
            }
            InputKind::PairTokens => {
                let width = self.width(packed, &all);
                let rejected = self.tokens(logps.with_empty_tape(), &self.layout(packed, &second, width))?;
                let chosen = self.tokens(logps, &self.layout(packed, &first, width))?;
                Input::PairTokens(PairTokens::new(chosen, rejected)?, None)
            }
            InputKind::CompletionTokens => {
                let width = self.width(packed, &all);
                Input::CompletionTokens(self.tokens(logps, &self.layout(packed, &all, width))?, None)
            }
            _ => Input::Completions(sum(logps, &all)?, None),
        })
    }

    /// What is kept of each sequence for later: its sum, or its completion's tokens and then its prompt's.
    pub(crate) fn keep<E: Scalar>(
        self,
        logps: &Tensor<(usize,), E, Cpu>,
        packed: &Packed,
    ) -> Result<Vec<Vec<f64>>, TrainError>
    where
        Cpu: Device<E>,
    {
        if !self.by_token() {
            let sums = range_sums(logps.clone(), &packed.sequences)?;
            return Ok(data(&sums).iter().map(|v| vec![v.f()]).collect());
        }
        let flat = data(logps);
        let tokens = |s: usize| {
            let prompt = packed.prompts.get(s).cloned().unwrap_or(0..0);
            packed.sequences[s].clone().chain(prompt).map(|t| flat[t].f()).collect()
        };
        Ok((0..packed.sequences.len()).map(tokens).collect())
    }

    /// The input for what [`Feed::keep`] kept of each sequence.
    pub(crate) fn kept<E: Scalar>(self, kept: &[&[f64]], packed: &Packed) -> Result<Fed<E>, TrainError>
    where
        Cpu: Device<E>,
    {
        let dev = Cpu::default();
        let mut flat = vec![E::zero(); packed.targets.len()];
        for (s, values) in kept.iter().enumerate() {
            if self.by_token() {
                let prompt = packed.prompts.get(s).cloned().unwrap_or(0..0);
                packed.sequences[s].clone().chain(prompt).zip(*values).for_each(|(t, v)| flat[t] = E::c(*v));
            } else if let Some(sum) = values.first() {
                // the rest is 0, so that the sum stays what it was to the bit
                flat[packed.sequences[s].start] = E::c(*sum);
            }
        }
        self.input(dev.try_tensor_from_vec(flat, (packed.targets.len(),))?, packed)
    }

    fn width(self, packed: &Packed, sequences: &[usize]) -> usize {
        let length = |&s: &usize| packed.sequences[s].len() + packed.prompts.get(s).map_or(0, Range::len);
        sequences.iter().map(length).max().unwrap_or(0)
    }

    fn layout(self, packed: &Packed, sequences: &[usize], width: usize) -> Layout {
        let n = sequences.len() * width;
        let mut found = Layout { cells: vec![None; n], completion: vec![false; n], prompt: vec![false; n], width };
        for (row, &s) in sequences.iter().enumerate() {
            let prompt = packed.prompts.get(s).cloned().unwrap_or(0..0);
            let before = prompt.len();
            for (i, target) in prompt.chain(packed.sequences[s].clone()).enumerate() {
                let at = row * width + i;
                found.cells[at] = Some(target);
                found.prompt[at] = i < before;
                found.completion[at] = i >= before;
            }
        }
        found
    }

    fn tokens<E: Scalar, T: TapeOf<E>>(
        self,
        logps: Tensor<(usize,), E, Cpu, T>,
        layout: &Layout,
    ) -> Result<TokenLogps<usize, usize, E, Cpu, T>, TrainError>
    where
        Cpu: Device<E>,
    {
        let tokens = TokenLogps::new(cells(logps, &layout.cells, layout.width)?, &layout.completion)?;
        Ok(if self.prompt { tokens.with_prompt(&layout.prompt)? } else { tokens })
    }

    /// Values of all targets as the columns of both sides of a rectangle, 0 outside; the second is empty for single ones.
    pub(crate) fn columns(self, values: &[f64], packed: &Packed) -> [Vec<f64>; 2] {
        let all: Vec<usize> = (0..packed.sequences.len()).collect();
        let width = self.width(packed, &all);
        let lay = |side: &[usize]| -> Vec<f64> {
            self.layout(packed, side, width).cells.iter().map(|c| c.map_or(0.0, |c| values[c])).collect()
        };
        if self.kind != InputKind::PairTokens {
            return [lay(&all), vec![]];
        }
        let (first, second): (Vec<usize>, Vec<usize>) = all.iter().partition(|s| *s % 2 == 0);
        [lay(&first), lay(&second)]
    }
}

/// Policy and reference together.
pub(crate) fn beside<E: Scalar, T: TapeOf<E>>(policy: Fed<E, T>, reference: Option<Fed<E>>) -> Fed<E, T>
where
    Cpu: Device<E>,
{
    match (policy, reference) {
        (Input::Pairs(p, _), Some(Input::Pairs(r, _))) => Input::Pairs(p, Some(r)),
        (Input::PairTokens(p, _), Some(Input::PairTokens(r, _))) => Input::PairTokens(p, Some(r)),
        (Input::Triples(p, _), Some(Input::Triples(r, _))) => Input::Triples(p, Some(r)),
        (Input::Revisions(p, _), Some(Input::Revisions(r, _))) => Input::Revisions(p, Some(r)),
        (Input::Completions(p, _), Some(Input::Completions(r, _))) => Input::Completions(p, Some(r)),
        (Input::CompletionTokens(p, _), Some(Input::CompletionTokens(r, _))) => Input::CompletionTokens(p, Some(r)),
        (policy, _) => policy,
    }
}
