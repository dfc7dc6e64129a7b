//! From packed rows to log-probabilities: the glue between data and model.
use crate::error::TrainError;
use dfdx::prelude::*;
use tropism_data::pack::Packed;
use tropism_lm::{Decoder, Dims, LanguageHeads, TokenBatch};
use tropism_ops::{LogpsExtras, Scalar, Segment, TapeOf, Tree};

/// Log-probability of every target of a packed batch; with `squares` also `log sum p^2` at every target.
pub(crate) fn token_logps<M: Dims, E: Scalar, T: TapeOf<E>>(
    model: &Decoder<M, E>,
    packed: &Packed,
    squares: bool,
    tape: T,
) -> Result<(Tensor<(usize,), E, Cpu, T>, Option<Vec<E>>), TrainError>
where
    Cpu: Device<E>,
{
    let segment = |s: &tropism_data::pack::Segment| Segment { start: s.start, len: s.len, parent: s.parent };
    let tree = Tree::new(packed.segments.iter().map(segment).collect())?;
    let wide = |ids: &[u32]| ids.iter().map(|&i| i as usize).collect::<Vec<_>>();
    let (ids, targets) = (wide(&packed.tokens), wide(&packed.targets));
    let batch = TokenBatch { ids: &ids, tree: &tree, sources: &packed.sources, targets: &targets };
    if !squares {
        return Ok((model.token_logps(batch, tape)?, None));
    }
    let extras = LogpsExtras { log_sum_squares: true, ..LogpsExtras::default() };
    let found = model.token_logps_detailed(batch, extras, tape)?;
    Ok((found.logps.put_tape(found.tape), found.log_sum_squares))
}

/// Log-probability of every target under the head of its sequence.
pub(crate) fn head_logps<M: Dims, E: Scalar, T: TapeOf<E>>(
    model: &LanguageHeads<M, E>,
    packed: &Packed,
    of: &[usize],
    tape: T,
) -> Result<Tensor<(usize,), E, Cpu, T>, TrainError>
where
    Cpu: Device<E>,
{
    let segment = |s: &tropism_data::pack::Segment| Segment { start: s.start, len: s.len, parent: s.parent };
    let tree = Tree::new(packed.segments.iter().map(segment).collect())?;
    let wide = |ids: &[u32]| ids.iter().map(|&i| i as usize).collect::<Vec<_>>();
    let (ids, targets) = (wide(&packed.tokens), wide(&packed.targets));
    let mut heads = vec![0; targets.len()];
    packed.sequences.iter().zip(of).for_each(|(range, &head)| heads[range.clone()].fill(head));
    let batch = TokenBatch { ids: &ids, tree: &tree, sources: &packed.sources, targets: &targets };
    Ok(model.token_logps(batch, &heads, tape)?)
}
