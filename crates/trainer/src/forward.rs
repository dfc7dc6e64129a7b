//! From packed rows to sequence log-probabilities: the glue between data, model and objectives.
use crate::error::TrainError;
use dfdx::prelude::*;
use std::ops::Range;
use tropism_core::{PairLogps, SequenceLogps};
use tropism_data::pack::Packed;
use tropism_lm::{Decoder, Dims, TokenBatch};
use tropism_ops::{Scalar, Segment, TapeOf, Tree, range_sums};

/// Log-probability of every target of a packed batch.
fn token_logps<M: Dims, E: Scalar, T: TapeOf<E>>(
    model: &Decoder<M, E>,
    packed: &Packed,
    tape: T,
) -> Result<Tensor<(usize,), E, Cpu, T>, TrainError>
where
    Cpu: Device<E>,
{
    let segment = |s: &tropism_data::pack::Segment| Segment { start: s.start, len: s.len, parent: s.parent };
    let tree = Tree::new(packed.segments.iter().map(segment).collect())?;
    let wide = |ids: &[u32]| ids.iter().map(|&i| i as usize).collect::<Vec<_>>();
    let (ids, targets) = (wide(&packed.tokens), wide(&packed.targets));
    let batch = TokenBatch { ids: &ids, tree: &tree, sources: &packed.sources, targets: &targets };
    Ok(model.token_logps(batch, tape)?)
}

/// Chosen and rejected sums of a batch of pairs.
pub(crate) fn pairs<M: Dims, E: Scalar, T: TapeOf<E>>(
    model: &Decoder<M, E>,
    packed: &Packed,
    tape: T,
) -> Result<PairLogps<usize, E, Cpu, T>, TrainError>
where
    Cpu: Device<E>,
{
    let side = |first: usize| packed.sequences.iter().skip(first).step_by(2).cloned().collect::<Vec<Range<usize>>>();
    let counts = |ranges: &[Range<usize>]| ranges.iter().map(Range::len).collect::<Vec<_>>();
    let (chosen, rejected) = (side(0), side(1));
    let logps = token_logps(model, packed, tape)?;
    let lost = range_sums(logps.with_empty_tape(), &rejected)?;
    let won = range_sums(logps, &chosen)?;
    Ok(PairLogps::new(won, lost, &counts(&chosen), &counts(&rejected))?)
}

/// Sums of a batch of single completions.
pub(crate) fn samples<M: Dims, E: Scalar, T: TapeOf<E>>(
    model: &Decoder<M, E>,
    packed: &Packed,
    tape: T,
) -> Result<SequenceLogps<usize, E, Cpu, T>, TrainError>
where
    Cpu: Device<E>,
{
    let logps = range_sums(token_logps(model, packed, tape)?, &packed.sequences)?;
    Ok(SequenceLogps::new(logps, &packed.lengths())?)
}
