//! A pass of the model over completions.
use crate::error::TrainError;
use dfdx::prelude::*;
use std::ops::Range;
use tropism_data::batches::batches;
use tropism_data::pack::{Packed, pack_samples};
use tropism_data::tokens::TokenSample;
use tropism_lm::{Decoder, Dims, Heads};
use tropism_ops::{LogpsExtras, Scalar, Segment, TapeOf, Tree, cells, data, rows};

/// The critic's head.
pub(crate) const VALUE: &str = "value";

/// Trunk and heads that a pass runs.
pub(crate) struct Model<'m, M: Dims, E: Dtype> {
    pub(crate) trunk: &'m Decoder<M, E>,
    /// the critic's, where values are wanted
    pub(crate) critic: Option<&'m Heads<M::Hidden, E>>,
    pub(crate) temperature: f64,
}

/// Figures of all completion tokens, sequence after sequence.
pub(crate) struct Pass<E: Dtype, T> {
    pub(crate) packed: Packed,
    pub(crate) logps: Tensor<(usize,), E, Cpu>,
    pub(crate) entropies: Option<Tensor<(usize,), E, Cpu>>,
    /// of log-probabilities and entropies
    pub(crate) tape: T,
    /// of the state before each token, with their own tape
    pub(crate) values: Option<Tensor<(usize,), E, Cpu, T>>,
}

impl<M: Dims, E: Scalar> Model<'_, M, E>
where
    Cpu: Device<E>,
{
    pub(crate) fn pass<T: TapeOf<E>>(
        &self,
        samples: &[TokenSample],
        entropy: bool,
        tape: T,
    ) -> Result<Pass<E, T>, TrainError> {
        let packed = pack_samples(samples)?;
        let segment = |s: &tropism_data::pack::Segment| Segment { start: s.start, len: s.len, parent: s.parent };
        let tree = Tree::new(packed.segments.iter().map(segment).collect())?;
        let wide = |ids: &[u32]| ids.iter().map(|&i| i as usize).collect::<Vec<_>>();
        let (ids, targets) = (wide(&packed.tokens), wide(&packed.targets));
        let (states, tape) = self.trunk.states(&ids, &tree, tape)?.split_tape();
        let value = |critic: &Heads<M::Hidden, E>| {
            critic.scalar(VALUE, rows(states.clone().put_tape(T::default()), &packed.sources)?)
        };
        let values = self.critic.map(value).transpose()?;
        let extras = LogpsExtras { entropy, ..LogpsExtras::default() };
        let states = states.put_tape(tape);
        let found = self.trunk.tempered_logps(states, &packed.sources, &targets, self.temperature, extras)?;
        Ok(Pass { packed, logps: found.logps, entropies: found.entropy, tape: found.tape, values })
    }

    /// Log-probabilities, and values where there is a critic, by completion and token, at most `max_tokens` tokens at a
    /// time; `lengths` are those of groups of neighbouring samples, `members` the samples of each.
    pub(crate) fn score(
        &self,
        samples: &[TokenSample],
        (lengths, members): (&[usize], &[Range<usize>]),
        max_tokens: usize,
    ) -> Result<[Vec<Vec<f64>>; 2], TrainError> {
        let (mut logps, mut values) = (vec![], vec![]);
        for range in batches(lengths, Some(max_tokens), usize::MAX)? {
            let picked = members[range.start].start..members[range.end - 1].end;
            let pass = self.pass(&samples[picked], false, NoneTape)?;
            let split = |flat: &[E]| -> Vec<Vec<f64>> {
                pass.packed.sequences.iter().map(|s| flat[s.clone()].iter().map(|v| v.f()).collect()).collect()
            };
            logps.extend(split(data(&pass.logps)));
            values.extend(pass.values.as_ref().map(|v| split(data(v))).unwrap_or_default());
        }
        Ok([logps, values])
    }
}

/// Where the tokens of completions stand in a rectangle.
pub(crate) struct Layout {
    cells: Vec<Option<usize>>,
    pub(crate) mask: Vec<bool>,
    pub(crate) width: usize,
}

impl Layout {
    pub(crate) fn of(packed: &Packed) -> Self {
        let width = packed.sequences.iter().map(Range::len).max().unwrap_or(0);
        let row = |s: &Range<usize>| {
            let start = s.start;
            let len = s.len();
            (0..width).map(move |c| (c < len).then_some(start + c))
        };
        let cells: Vec<Option<usize>> = packed.sequences.iter().flat_map(row).collect();
        Layout { mask: cells.iter().map(Option::is_some).collect(), cells, width }
    }

    /// Figures of all tokens as the rectangle, 0 outside.
    pub(crate) fn table<E: Scalar, T: TapeOf<E>>(
        &self,
        flat: Tensor<(usize,), E, Cpu, T>,
    ) -> Result<Tensor<(usize, usize), E, Cpu, T>, TrainError>
    where
        Cpu: Device<E>,
    {
        Ok(cells(flat, &self.cells, self.width)?)
    }
}
