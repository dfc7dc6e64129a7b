//! Log-probabilities of rows under a model, without gradients: for references and for evaluation.
use crate::error::TrainError;
use crate::feed::Feed;
use crate::forward;
use crate::rows::Rows;
use dfdx::prelude::*;
use tropism_core::{Diagnostics, PairLogps};
use tropism_data::batches::batches;
use tropism_data::pack::Packed;
use tropism_data::tokens::{TokenPair, TokenSample};
use tropism_lm::{Decoder, Dims};
use tropism_objectives::Objective;
use tropism_ops::Scalar;

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
    let all = score_samples_of(model, &Rows::Pairs(pairs.to_vec()), max_tokens)?;
    Ok(all.as_chunks::<2>().0.iter().map(|&[chosen, rejected]| PairScore { chosen, rejected }).collect())
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
    score_samples_of(model, &Rows::Samples(samples.to_vec()), max_tokens)
}

fn score_samples_of<M: Dims, E: Scalar>(
    model: &Decoder<M, E>,
    rows: &Rows,
    max_tokens: usize,
) -> Result<Vec<SequenceScore>, TrainError>
where
    Cpu: Device<E>,
{
    let mut out = Vec::with_capacity(rows.len() * rows.sides());
    each_batch(model, rows, Feed::sums(rows), max_tokens, |kept, packed| {
        let one = |(logps, tokens): (&Vec<f64>, usize)| SequenceScore { logps: logps.iter().sum(), tokens };
        out.extend(kept.iter().zip(packed.lengths()).map(one));
    })?;
    Ok(out)
}

/// What `feed` keeps of every sequence of the rows.
pub(crate) fn score_rows<M: Dims, E: Scalar>(
    model: &Decoder<M, E>,
    rows: &Rows,
    feed: Feed,
    max_tokens: usize,
) -> Result<Vec<Vec<f64>>, TrainError>
where
    Cpu: Device<E>,
{
    let mut out = Vec::with_capacity(rows.len() * rows.sides());
    each_batch(model, rows, feed, max_tokens, |kept, _| out.extend(kept))?;
    Ok(out)
}

fn each_batch<M: Dims, E: Scalar>(
    model: &Decoder<M, E>,
    rows: &Rows,
    feed: Feed,
    max_tokens: usize,
    mut f: impl FnMut(Vec<Vec<f64>>, &Packed),
) -> Result<(), TrainError>
where
    Cpu: Device<E>,
{
    for range in batches(&rows.lengths(), Some(max_tokens), usize::MAX)? {
        let picked: Vec<usize> = range.collect();
        let packed = feed.pack(&rows.pick(&picked))?;
        let (logps, _) = forward::token_logps(model, &packed, false, NoneTape)?;
        // the containers refuse what is not finite
        feed.input(logps.clone(), &packed).map_err(|e| named(e, |row| rows.source(picked[row]).to_string()))?;
        f(feed.keep(&logps, &packed)?, &packed);
    }
    Ok(())
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
