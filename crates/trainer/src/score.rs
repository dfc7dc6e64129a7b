//! Log-probabilities of rows under a model, without gradients: for references and for evaluation.
use crate::error::TrainError;
use crate::forward;
use dfdx::prelude::*;
use tropism_core::{Diagnostics, PairLogps};
use tropism_data::batches::batches;
use tropism_data::pack::{pack_pairs, pack_samples};
use tropism_data::tokens::{TokenPair, TokenSample};
use tropism_lm::{Decoder, Dims};
use tropism_objectives::Objective;
use tropism_ops::{Scalar, data};

/// Summed log-probability of one completion, in nats, and its scored tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SequenceScore {
    /// nats
    pub logps: f64,
    /// tokens
    pub tokens: usize,
}

/// Both sides of a pair.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairScore {
    /// the preferred side
    pub chosen: SequenceScore,
    /// the other
    pub rejected: SequenceScore,
}

fn scores<E: Scalar>(logps: &Tensor<(usize,), E, Cpu>, lengths: &Tensor<(usize,), E, Cpu>) -> Vec<SequenceScore> {
    let one = |(l, n): (&E, &E)| SequenceScore { logps: l.f(), tokens: n.f() as usize };
    data(logps).iter().zip(data(lengths)).map(one).collect()
}

/// Scores pairs, at most `max_tokens` tokens at a time.
///
/// # Errors
/// A token outside the vocabulary, a row without a scored token, a log-probability that is not finite; the row is named.
pub fn score_pairs<M: Dims, E: Scalar>(
    model: &Decoder<M, E>,
    pairs: &[TokenPair],
    max_tokens: usize,
) -> Result<Vec<PairScore>, TrainError>
where
    Cpu: Device<E>,
{
    let lengths: Vec<usize> = pairs.iter().map(TokenPair::len).collect();
    let mut out = Vec::with_capacity(pairs.len());
    for range in batches(&lengths, Some(max_tokens), usize::MAX)? {
        let p = forward::pairs(model, &pack_pairs(&pairs[range.clone()])?, NoneTape)
            .map_err(|e| named(e, |row| pairs[range.start + row].source.to_string()))?;
        let sides = scores(&p.chosen, &p.chosen_lengths).into_iter().zip(scores(&p.rejected, &p.rejected_lengths));
        out.extend(sides.map(|(chosen, rejected)| PairScore { chosen, rejected }));
    }
    Ok(out)
}

/// Scores single completions, at most `max_tokens` tokens at a time.
///
/// # Errors
/// As [`score_pairs`].
pub fn score_samples<M: Dims, E: Scalar>(
    model: &Decoder<M, E>,
    samples: &[TokenSample],
    max_tokens: usize,
) -> Result<Vec<SequenceScore>, TrainError>
where
    Cpu: Device<E>,
{
    let lengths: Vec<usize> = samples.iter().map(TokenSample::len).collect();
    let mut out = Vec::with_capacity(samples.len());
    for range in batches(&lengths, Some(max_tokens), usize::MAX)? {
        let s = forward::samples(model, &pack_samples(&samples[range.clone()])?, NoneTape)
            .map_err(|e| named(e, |row| samples[range.start + row].source.to_string()))?;
        out.extend(scores(&s.logps, &s.lengths));
    }
    Ok(out)
}

/// Puts the row's source into an error about a value.
fn named(e: TrainError, source: impl Fn(usize) -> String) -> TrainError {
    match e.not_finite() {
        Some((what, row, value)) => {
            TrainError::NotFinite { stage: "scoring".into(), step: 0, row: source(row), what: what.into(), value }
        }
        None => e,
    }
}

/// An objective's figures per row (`rewards/chosen`, …) for scored pairs, without training.
///
/// # Errors
/// A reference too many or too few, numbers of rows that differ, no rows.
pub fn pair_diagnostics(
    objective: &Objective,
    policy: &[PairScore],
    reference: Option<&[PairScore]>,
) -> Result<Diagnostics, TrainError> {
    let dev = Cpu::default();
    let logps = |scores: &[PairScore]| -> Result<PairLogps<usize, f64, Cpu>, TrainError> {
        let column = |f: fn(&PairScore) -> SequenceScore| {
            let side: Vec<SequenceScore> = scores.iter().map(f).collect();
            let logps: Vec<f64> = side.iter().map(|s| s.logps).collect();
            let tokens: Vec<usize> = side.iter().map(|s| s.tokens).collect();
            dev.try_tensor_from_vec(logps, (scores.len(),)).map(|t| (t, tokens))
        };
        let ((chosen, a), (rejected, b)) = (column(|s| s.chosen)?, column(|s| s.rejected)?);
        Ok(PairLogps::new(chosen, rejected, &a, &b)?)
    };
    let reference = reference.map(logps).transpose()?;
    Ok(objective.pair_loss(logps(policy)?, reference)?.diagnostics)
}
