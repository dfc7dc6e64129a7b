//! A pass of policy and teachers over completions.
use crate::error::TrainError;
use dfdx::prelude::*;
use std::ops::Range;
use tropism_core::LossTerms;
use tropism_credit::{AlignDistil, Alignment, DistilToken, TokenSums, aligndistil};
use tropism_data::pack::pack_samples;
use tropism_data::tokens::TokenSample;
use tropism_lm::{Decoder, Dims};
use tropism_ops::{Scalar, Segment, TapeOf, Tree, range_sums};

/// Samples whose completions are predicted at the positions that are trained; what is left without any is left out.
///
/// The released code trains the logits at a completion's tokens: these are the predictions of the tokens behind its first one
/// and, off policy, of one that nobody reads. It is computed with the rest and changes nothing.
pub(super) fn aligned(samples: Vec<TokenSample>, alignment: Alignment) -> Vec<TokenSample> {
    if alignment == Alignment::Predictions {
        return samples;
    }
    let shifted = |mut s: TokenSample| {
        let unread = (alignment == Alignment::ReleasedOffPolicy).then_some(*s.completion.first()?);
        s.prompt.push(s.completion.remove(0));
        s.completion.extend(unread);
        let moved = |part: &Range<usize>| part.start.saturating_sub(1)..part.end - 1;
        s.given = s.given.iter().map(moved).filter(|part| !part.is_empty()).collect();
        (!s.completion.is_empty()).then_some(s)
    };
    samples.into_iter().filter_map(shifted).collect()
}

/// The loss terms of some samples.
pub(super) struct Distilled<E: Scalar, T>
where
    Cpu: Device<E>,
{
    pub(super) terms: LossTerms<usize, E, Cpu, T>,
    /// what is known of each token
    pub(super) found: Vec<DistilToken>,
    /// tokens computed
    pub(super) tokens: usize,
}

/// Policy and teachers over `samples`.
pub(super) fn distilled<M: Dims, E: Scalar, T: TapeOf<E>>(
    policy: &Decoder<M, E>,
    teachers: &[Decoder<M, E>; 2],
    samples: &[TokenSample],
    loss: &AlignDistil,
    tape: T,
) -> Result<Distilled<E, T>, TrainError>
where
    Cpu: Device<E>,
{
    let packed = pack_samples(samples)?;
    let segment = |s: &tropism_data::pack::Segment| Segment { start: s.start, len: s.len, parent: s.parent };
    let tree = Tree::new(packed.segments.iter().map(segment).collect())?;
    let ids: Vec<usize> = packed.tokens.iter().map(|&i| i as usize).collect();
    let other = |teacher: &Decoder<M, E>| teacher.other_head(&ids, &tree, &packed.sources);
    let others = [other(&teachers[0])?, other(&teachers[1])?];
    let found = policy.figure(&ids, &tree, &packed.sources, &others, loss.distillation()?, tape)?;
    let sums = range_sums(found.values, &packed.sequences)?;
    let terms = aligndistil(TokenSums::new(sums, &packed.lengths())?, loss)?;
    Ok(Distilled { terms, found: found.tokens, tokens: packed.tokens.len() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tropism_credit::trained_positions;
    use tropism_data::record::Source;

    #[test]
    fn positions_are_those_of_the_alignment() {
        for n in 1..4usize {
            for alignment in [Alignment::Predictions, Alignment::ReleasedOffPolicy, Alignment::ReleasedOnPolicy] {
                let completion = (7..7 + n as u32).collect();
                let sample = TokenSample { source: Source::row("s", 1), prompt: vec![1, 2, 3], completion, given: vec![] };
                let found = aligned(vec![sample], alignment);
                let want = trained_positions(3, n, alignment);
                let sources = found.first().and_then(|_| pack_samples(&found).ok()).map(|p| p.sources).unwrap_or_default();
                assert_eq!(sources, want.collect::<Vec<_>>(), "{alignment:?} {n}");
            }
        }
    }
}
