//! A stage that trains a reward model, in motion.
use super::options::{Aspect, RewardModelOptions};
use super::score::{Read, RewardCard, RewardModel, Spread};
use crate::error::TrainError;
use crate::follow::{Steps, steps};
use crate::metrics::{Metrics, StepMetrics};
use crate::optimiser::clipped_step;
use crate::progress::Progress;
use crate::rows::Rows;
use crate::schedule::learning_rate;
use crate::stage::Stage;
use crate::step::Store;
use dfdx::prelude::*;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use tropism_core::{LossTerms, PairScores};
use tropism_data::batches::batches;
use tropism_data::order::Order;
use tropism_data::tokens::{TokenPair, TokenSample};
use tropism_lm::{Decoder, Dims, HeadSpec, Headed, Heads};
use tropism_objectives::{RewardMargin, bradley_terry};
use tropism_ops::{AdamW, Scalar, alloc_grads, range_sums, tape_into};

/// Pairs whose scores say what a head's scores are like.
const MEASURED: usize = 1024;

/// A reward model that is being trained on pairs.
pub struct RewardRun<'a, M: Dims, E: Dtype> {
    pub(super) stage: &'a Stage<RewardModelOptions>,
    pub(super) rows: &'a Rows,
    pub(super) model: Headed<M, E>,
    pub(super) optimiser: AdamW<E>,
    grads: Store<E>,
    pub(super) order: Order,
    pub(super) step: usize,
    pub(super) tokens: usize,
}

/// Scores of one head in a step.
#[derive(Default)]
struct Seen {
    /// of the sides that won and lost, pair by pair
    won: Vec<f64>,
    lost: Vec<f64>,
}

/// What a step comes to.
#[derive(Default)]
struct Sums {
    loss: f64,
    tokens: usize,
    seen: BTreeMap<String, Seen>,
}

impl<'a, M: Dims, E: Scalar> RewardRun<'a, M, E>
where
    Cpu: Device<E>,
{
    /// Starts a stage from `policy`, with the adapter that the stage asks for, and fresh heads: weights normal with deviation
    /// `1 / sqrt(hidden + 1)`, no bias.
    ///
    /// # Errors
    /// As [`Stage::<RewardModelOptions>::check_rows`](Stage::check_rows); an adapter that does not fit.
    pub fn new(
        stage: &'a Stage<RewardModelOptions>,
        rows: &'a Rows,
        policy: Decoder<M, E>,
        seed: u64,
    ) -> Result<Self, TrainError> {
        stage.check_rows(rows)?;
        let trunk = stage.adapt(policy, seed)?;
        let spec = |name: &String| HeadSpec { name: name.clone(), outputs: 1, bias: false };
        let specs: Vec<HeadSpec> = stage.objective.heads.keys().map(spec).collect();
        let hidden = trunk.dims.hidden();
        let heads = Heads::random(hidden, &specs, 1.0 / ((hidden.size() + 1) as f64).sqrt(), seed)?;
        let order = Order::new(rows.len(), seed, stage.shuffle)?;
        Ok(Self::assemble(stage, rows, Headed { trunk, heads }, order))
    }

    pub(super) fn assemble(
        stage: &'a Stage<RewardModelOptions>,
        rows: &'a Rows,
        mut model: Headed<M, E>,
        order: Order,
    ) -> Self {
        model.trunk.precision = stage.precision.into();
        model.trunk.checkpointing = stage.gradient_checkpointing;
        RewardRun { stage, rows, model, optimiser: stage.optimiser(), grads: None, order, step: 0, tokens: 0 }
    }

    /// Steps of the whole stage.
    pub fn total(&self) -> usize {
        self.stage.steps(self.rows.len())
    }

    /// Steps made so far.
    pub fn done(&self) -> usize {
        self.step
    }

    /// Tokens computed so far; shared prompts count once.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Trunk and heads as they are now.
    pub fn model(&self) -> &Headed<M, E> {
        &self.model
    }

    /// Ends the stage: an adapter is merged, and the scores of the first 1024 training pairs are measured for the card.
    ///
    /// # Errors
    /// As [`RewardModel::scores`].
    pub fn into_model(self) -> Result<RewardModel<M, E>, TrainError> {
        let Headed { trunk, heads } = self.model;
        let trunk = if trunk.adapter().is_some() { trunk.merged()? } else { trunk };
        let card = RewardCard { pooling: self.stage.objective.pooling, scores: BTreeMap::new() };
        let mut found = RewardModel { model: Headed { trunk, heads }, card };
        let Rows::Pairs(pairs) = self.rows else { return Ok(found) };
        let sides = |p: &TokenPair| [p.chosen_sample(), p.rejected_sample()];
        let samples: Vec<TokenSample> = pairs.iter().take(MEASURED).flat_map(sides).collect();
        for head in self.stage.objective.heads.keys() {
            let scores = found.scores(head, &samples, self.stage.micro_batch_tokens)?;
            let n = scores.len() as f64;
            let mean = scores.iter().sum::<f64>() / n;
            let std = (scores.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / n).sqrt();
            found.card.scores.insert(head.clone(), Spread { mean, std });
        }
        Ok(found)
    }

    /// The next optimiser step; nothing once the stage is complete.
    ///
    /// # Errors
    /// A score, loss or gradient that is not finite, with the row.
    pub fn next_step(&mut self) -> Result<Option<StepMetrics>, TrainError> {
        let total = self.total();
        if self.step >= total {
            return Ok(None);
        }
        let lr = self.stage.learning_rate * learning_rate(self.stage.schedule, self.step, total, self.stage.warmup(total));
        let rows = self.order.batch(self.stage.batch_size);
        let sums = self.accumulate(&rows)?;
        let mut grad_norm = 0.0;
        if let Some(mut grads) = self.grads.take() {
            let named = || rows.iter().map(|&r| self.rows.source(r).to_string()).collect::<Vec<_>>().join("; ");
            let (parts, at) = ((&mut self.model, &mut self.optimiser), (self.stage.name.as_str(), self.step + 1));
            grad_norm = clipped_step(parts, &mut grads, (lr, 1.0, self.stage.max_grad_norm), at, named)?;
            self.grads = Some(grads);
        }
        self.step += 1;
        self.tokens += sums.tokens;
        let at = self.order.state();
        Ok(Some(StepMetrics {
            stage: self.stage.name.clone(),
            step: self.step,
            epoch: at.epoch as f64 + at.position as f64 / at.rows as f64,
            loss: sums.loss,
            grad_norm,
            learning_rate: lr,
            num_tokens: self.tokens,
            figures: figures(&sums.seen),
        }))
    }

    /// Adds the gradients of all rows to the store; pairs that no head has an opinion on are not computed.
    fn accumulate(&mut self, rows: &[usize]) -> Result<Sums, TrainError> {
        let gaps: Vec<(String, Aspect, Vec<f64>)> = self.gaps(rows);
        let speaks = |i: usize| gaps.iter().any(|(_, _, g)| g[i] != 0.0);
        let spoken: Vec<usize> = (0..rows.len()).filter(|&i| speaks(i)).collect();
        let mut sums = Sums::default();
        let picked: Vec<usize> = spoken.iter().map(|&i| rows[i]).collect();
        for range in batches(&self.rows.pick(&picked).lengths(), Some(self.stage.micro_batch_tokens), usize::MAX)? {
            self.micro_batch(&picked[range.clone()], &spoken[range], &gaps, &mut sums)?;
        }
        Ok(sums)
    }

    /// By how much each of the rows' chosen sides is better, for every head; 0 where nothing is known.
    fn gaps(&self, rows: &[usize]) -> Vec<(String, Aspect, Vec<f64>)> {
        let of = |a: &Aspect| -> Vec<f64> {
            let Some(all) = a.column.as_ref().and_then(|c| self.rows.numbers(c)) else { return vec![1.0; rows.len()] };
            rows.iter().map(|&r| if all[r].is_nan() { 0.0 } else { all[r] }).collect()
        };
        self.stage.objective.heads.iter().map(|(name, a)| (name.clone(), a.clone(), of(a))).collect()
    }

    /// Loss and gradients of some rows; `places` are their places in the step.
    fn micro_batch(
        &mut self,
        rows: &[usize],
        places: &[usize],
        gaps: &[(String, Aspect, Vec<f64>)],
        sums: &mut Sums,
    ) -> Result<(), TrainError> {
        let packed = self.rows.pick(rows).pack()?;
        sums.tokens += packed.tokens.len();
        let tape = tape_into(&Cpu::default(), self.grads.take().map_or_else(|| alloc_grads(&self.model), Ok)?);
        let mut read = Read::of(&self.model, &packed, self.stage.objective.pooling, tape)?;
        let mut total: Option<Tensor<Rank0, E, Cpu, OwnedTape<E, Cpu>>> = None;
        for (name, aspect, all) in gaps {
            let told: Vec<(usize, bool)> =
                places.iter().enumerate().filter(|(_, p)| all[**p] != 0.0).map(|(i, &p)| (i, all[p] > 0.0)).collect();
            if told.is_empty() {
                continue;
            }
            let terms =
                self.terms(read.scores(&self.model.heads, name)?, rows, &told, sums.seen.entry(name.clone()).or_default());
            let terms = terms.map_err(|e| self.named(e, rows, &told))?;
            let share = aspect.weight / all.iter().filter(|g| **g != 0.0).count() as f64;
            sums.loss += share * terms.values().iter().sum::<f64>();
            let part = terms.sum()?.try_mul(E::c(share))?;
            total = Some(match total {
                None => part,
                Some(sum) => sum.try_add(part)?,
            });
        }
        if let Some(total) = total {
            self.grads = Some(total.try_backward()?);
        }
        Ok(())
    }

    /// The loss of one head; `told` are the pairs that it has an opinion on, and whether the chosen side won.
    fn terms(
        &self,
        scores: Tensor<(usize,), E, Cpu, OwnedTape<E, Cpu>>,
        rows: &[usize],
        told: &[(usize, bool)],
        seen: &mut Seen,
    ) -> Result<LossTerms<usize, E, Cpu, OwnedTape<E, Cpu>>, TrainError> {
        let side = |won: bool| -> Vec<Range<usize>> {
            let at = |&(i, chosen): &(usize, bool)| 2 * i + usize::from(chosen != won);
            told.iter().map(at).map(|s| s..s + 1).collect()
        };
        let lost = range_sums(scores.with_empty_tape(), &side(false))?;
        let won = range_sums(scores, &side(true))?;
        for (to, from) in [(&mut seen.won, &won), (&mut seen.lost, &lost)] {
            to.extend(tropism_ops::data(from).iter().map(|v| v.f()));
        }
        let loss = &self.stage.objective.loss;
        let margin = (loss.margin == RewardMargin::Column).then(|| self.rows.numbers("margin")).flatten();
        let margin = margin.map(|all| told.iter().map(|(i, _)| all[rows[*i]]).collect::<Vec<f64>>());
        Ok(bradley_terry(PairScores::new(won, lost)?, margin.as_deref(), loss)?)
    }

    /// Puts stage, step and the row's source into an error about a value.
    fn named(&self, e: TrainError, rows: &[usize], told: &[(usize, bool)]) -> TrainError {
        match e.not_finite() {
            None => e,
            Some((what, row, value)) => TrainError::NotFinite {
                stage: self.stage.name.clone(),
                step: self.step + 1,
                row: told.get(row).map_or_else(String::new, |(i, _)| self.rows.source(rows[*i]).to_string()),
                what: what.to_owned(),
                value,
            },
        }
    }

    /// Runs to the end: metrics after each step, a checkpoint into `folder` every `checkpoint_every` steps, and `each` after
    /// every step for whoever wants to look on.
    ///
    /// # Errors
    /// As [`RewardRun::next_step`]; files that cannot be written.
    pub fn run(
        &mut self,
        metrics: &mut Metrics,
        folder: &Path,
        progress: &Progress,
        each: impl FnMut(&StepMetrics),
    ) -> Result<(), TrainError> {
        self.follow(metrics, folder, progress, each)
    }
}
steps!(RewardRun);

/// TRL's figures of a reward trainer: over all heads, and by head where there are several.
fn figures(seen: &BTreeMap<String, Seen>) -> Map<String, Value> {
    let mut figures = Map::new();
    let mut put = |suffix: &str, parts: &[&Seen]| {
        let pairs = || parts.iter().flat_map(|s| s.won.iter().zip(&s.lost));
        let all = || pairs().flat_map(|(w, l)| [*w, *l]);
        let n = pairs().count().max(1) as f64;
        let right = pairs().map(|(w, l)| f64::from(u8::from(w > l))).sum::<f64>();
        let values = [
            ("accuracy", right / n),
            ("margin", pairs().map(|(w, l)| w - l).sum::<f64>() / n),
            ("min_reward", all().fold(f64::INFINITY, f64::min)),
            ("mean_reward", all().sum::<f64>() / (2.0 * n)),
            ("max_reward", all().fold(f64::NEG_INFINITY, f64::max)),
        ];
        for (name, value) in values.into_iter().filter(|(_, v)| v.is_finite()) {
            figures.insert(format!("{name}{suffix}"), value.into());
        }
    };
    put("", &seen.values().collect::<Vec<_>>());
    if seen.len() > 1 {
        seen.iter().for_each(|(name, s)| put(&format!("/{name}"), &[s]));
    }
    figures
}
