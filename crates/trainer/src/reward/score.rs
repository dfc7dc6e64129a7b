//! A reward model: a trunk with heads, and how its scores are read.
use super::options::Pooling;
use crate::error::TrainError;
use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;
use tropism_data::batches::batches;
use tropism_data::pack::{Packed, pack_samples};
use tropism_data::tokens::TokenSample;
use tropism_lm::{Dims, Headed, Heads, Loaded, WeightDtype};
use tropism_ops::{Scalar, Segment, TapeOf, Tree, data, range_sums, rows};

/// Name of the card in a reward model's folder.
const CARD: &str = "reward_model.json";
/// The file that says that a folder's heads stand beside its model.
const HEADS: &str = "heads.safetensors";
/// Name of the head in the folder of a sequence classifier.
const SCORE: &str = "score";

/// Mean and standard deviation of a head's scores.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// mean
    pub mean: f64,
    /// standard deviation (of the population)
    pub std: f64,
}

/// What is known of a reward model beside its weights: `reward_model.json` in its folder.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RewardCard {
    /// where scores are read
    pub pooling: Pooling,
    /// scores of the completions that it was trained on, by head
    pub scores: BTreeMap<String, Spread>,
}

/// A trunk with heads that score completions.
#[derive(Clone, Debug)]
pub struct RewardModel<M: Dims, E: Dtype> {
    /// trunk and heads
    pub model: Headed<M, E>,
    /// how its scores are read
    pub card: RewardCard,
}

/// Outputs of heads for the completions of a packed batch: the states first, then one tape for each head.
pub(crate) struct Read<M: Dims, E: Dtype, T> {
    states: Tensor<(usize, M::Hidden), E, Cpu>,
    tape: Option<T>,
    /// rows of `states` of each completion
    ranges: Vec<Range<usize>>,
}

/// The tokens of each completion whose states are read.
fn places(packed: &Packed, pooling: Pooling) -> (Vec<usize>, Vec<Range<usize>>) {
    let (mut at, mut ranges) = (vec![], vec![]);
    for (&segment, sequence) in packed.completions.iter().zip(&packed.sequences) {
        let s = packed.segments[segment];
        let before = at.len();
        match pooling {
            Pooling::Last => at.push(s.start + s.len - 1),
            _ => {
                // tokens that the author wrote: the targets, and a first one that nothing predicts
                at.extend(s.parent.is_none().then_some(s.start));
                at.extend(packed.sources[sequence.clone()].iter().map(|p| if *p < s.start { s.start } else { p + 1 }));
            }
        }
        ranges.push(before..at.len());
    }
    (at, ranges)
}

impl<M: Dims, E: Scalar, T: TapeOf<E>> Read<M, E, T>
where
    Cpu: Device<E>,
{
    pub(crate) fn of(model: &Headed<M, E>, packed: &Packed, pooling: Pooling, tape: T) -> Result<Self, TrainError> {
        let segment = |s: &tropism_data::pack::Segment| Segment { start: s.start, len: s.len, parent: s.parent };
        let tree = Tree::new(packed.segments.iter().map(segment).collect())?;
        let ids: Vec<usize> = packed.tokens.iter().map(|&i| i as usize).collect();
        let (at, ranges) = places(packed, pooling);
        let (states, tape) = rows(model.trunk.states(&ids, &tree, tape)?, &at)?.split_tape();
        Ok(Read { states, tape: Some(tape), ranges })
    }

    /// A head's score of each completion. The first head that is asked carries the trunk's tape.
    pub(crate) fn scores(
        &mut self,
        heads: &Heads<M::Hidden, E>,
        head: &str,
    ) -> Result<Tensor<(usize,), E, Cpu, T>, TrainError> {
        let states = self.states.clone().put_tape(self.tape.take().unwrap_or_default());
        let sums = range_sums(heads.scalar(head, states)?, &self.ranges)?;
        if self.ranges.iter().all(|r| r.len() == 1) {
            return Ok(sums);
        }
        let shares: Vec<E> = self.ranges.iter().map(|r| E::c(1.0 / r.len() as f64)).collect();
        Ok(sums.try_mul(Cpu::default().try_tensor_from_vec(shares, (self.ranges.len(),))?)?)
    }
}

impl<M: Dims, E: Scalar> RewardModel<M, E>
where
    Cpu: Device<E>,
{
    /// Scores of completions by one head, at most `max_tokens` tokens at a time.
    ///
    /// # Errors
    /// No such head; a token outside the vocabulary, a completion without tokens, a score that is not finite; the row is named.
    pub fn scores(&self, head: &str, samples: &[TokenSample], max_tokens: usize) -> Result<Vec<f64>, TrainError> {
        self.model.heads.get(head)?;
        let lengths: Vec<usize> = samples.iter().map(TokenSample::len).collect();
        let mut scores = Vec::with_capacity(samples.len());
        for range in batches(&lengths, Some(max_tokens), usize::MAX)? {
            let packed = pack_samples(&samples[range])?;
            let mut read = Read::of(&self.model, &packed, self.card.pooling, NoneTape)?;
            scores.extend(data(&read.scores(&self.model.heads, head)?).iter().map(|v| v.f()));
        }
        match scores.iter().position(|s| !s.is_finite()) {
            None => Ok(scores),
            Some(at) => Err(TrainError::NotFinite {
                stage: "scoring".into(),
                step: 0,
                row: samples[at].source.to_string(),
                what: format!("the score of head `{head}`"),
                value: scores[at],
            }),
        }
    }

    /// The head of that name, or the only one.
    ///
    /// # Errors
    /// What is wrong with the name, with those that there are.
    pub fn head(&self, name: Option<&str>) -> Result<String, String> {
        let all: Vec<String> = self.model.heads.names().map(str::to_owned).collect();
        match (name, all.as_slice()) {
            (Some(name), all) if all.iter().any(|h| h == name) => Ok(name.to_owned()),
            (None, [one]) => Ok(one.clone()),
            (Some(name), all) => Err(format!("has no head `{name}`; there are: {}", all.join(", "))),
            (None, all) => Err(format!("has several heads; name one of: {}", all.join(", "))),
        }
    }

    /// Writes model, heads and card into an existing folder.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn save(&self, folder: &Path, dtype: WeightDtype) -> Result<(), TrainError> {
        self.model.save(folder, dtype)?;
        let path = folder.join(CARD);
        let text =
            serde_json::to_string_pretty(&self.card).map_err(|e| TrainError::Io { path: path.clone(), source: e.into() })?;
        fs::write(&path, text + "\n").map_err(TrainError::io(&path))
    }
}

impl<E: Scalar> RewardModel<Loaded, E>
where
    Cpu: Device<E>,
{
    /// Reads the folder of a reward model: one that a stage wrote, or transformers' `…ForSequenceClassification`, whose head is
    /// called `score`.
    ///
    /// # Errors
    /// A folder of neither kind, a file that is missing or damaged.
    pub fn load(folder: &Path) -> Result<Self, TrainError> {
        if !folder.join(HEADS).is_file() {
            let model = Headed::load_classifier(folder, |c| Ok(Loaded::new(c)))?;
            model.heads.get(SCORE)?;
            return Ok(RewardModel { model, card: RewardCard::default() });
        }
        let model = Headed::load(folder, |c| Ok(Loaded::new(c)))?;
        let path = folder.join(CARD);
        let text = fs::read_to_string(&path).map_err(TrainError::io(&path))?;
        let broken = |e: serde_json::Error| TrainError::Checkpoint { path: path.clone(), problem: e.to_string() };
        Ok(RewardModel { model, card: serde_json::from_str(&text).map_err(broken)? })
    }
}
