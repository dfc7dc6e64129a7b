//! One stage in motion.
use crate::constants::reads_baseline;
use crate::error::TrainError;
use crate::feed::Feed;
use crate::follow::{Steps, steps};
use crate::metrics::{Metrics, StepMetrics};
use crate::progress::Progress;
use crate::reference::{ReferenceLogps, reference_logps};
use crate::rows::Rows;
use crate::schedule::learning_rate;
use crate::score::score_rows;
use crate::stage::{Precision, Stage};
use crate::step::{Store, Update};
use dfdx::prelude::*;
use serde_json::Map;
use std::path::Path;
use tropism_data::order::Order;
use tropism_lm::{Decoder, Dims, LanguageHeads};
use tropism_ops::{AdamW, MomentFormat, Scalar};

/// A stage that is being trained.
pub struct StageRun<'a, M: Dims, E: Dtype> {
    pub(crate) stage: &'a Stage,
    pub(crate) rows: &'a Rows,
    pub(crate) policy: Decoder<M, E>,
    /// what is trained in the policy's place where each objective has a head of its own
    pub(crate) heads: Option<LanguageHeads<M, E>>,
    /// log-probabilities of every row under the reference
    pub(crate) reference: Option<ReferenceLogps>,
    /// the rows' prompts with completions of others, for a method with a KL baseline
    pub(crate) mismatched: Option<Rows>,
    pub(crate) optimiser: AdamW<E>,
    pub(crate) grads: Store<E>,
    /// what the gradients in the store are to be divided by
    pub(crate) weight: f64,
    pub(crate) order: Order,
    pub(crate) step: usize,
    pub(crate) tokens: usize,
    pub(crate) dev: Cpu,
}

impl<'a, M: Dims, E: Scalar> StageRun<'a, M, E>
where
    Cpu: Device<E>,
{
    /// Starts a stage from `policy`, with the adapter that the stage asks for. `reference` is scored on all rows here, once; it is needed exactly when the objective
    /// reads one.
    ///
    /// # Errors
    /// Bad options, no rows, rows of the wrong kind for the objective, a reference too many or too few, a step that
    /// [cannot be split](Stage::check_split), rows that the model cannot score.
    pub fn new(
        stage: &'a Stage,
        rows: &'a Rows,
        policy: Decoder<M, E>,
        reference: Option<&Decoder<M, E>>,
        seed: u64,
    ) -> Result<Self, TrainError> {
        check(stage, rows, reference.is_some())?;
        let logps = reference.map(|model| {
            let mut model = model.clone();
            model.precision = stage.precision.into();
            reference_logps(&model, rows, &stage.objective, stage.micro_batch_tokens, None)
        });
        Self::scored(stage, rows, policy, logps.transpose()?, seed)
    }

    /// Starts a stage with the [`reference_logps`] of its rows at hand.
    ///
    /// # Errors
    /// As [`StageRun::new`]; log-probabilities of another number of rows.
    pub fn scored(
        stage: &'a Stage,
        rows: &'a Rows,
        policy: Decoder<M, E>,
        reference: Option<ReferenceLogps>,
        seed: u64,
    ) -> Result<Self, TrainError> {
        check(stage, rows, reference.is_some())?;
        stage.check_split(rows, seed)?;
        let expected = rows.len() * rows.sides();
        if let Some(found) = reference.as_ref().map(ReferenceLogps::completions).filter(|n| *n != expected) {
            let problem = format!("has log-probabilities of {found} completions, there are {expected}");
            return Err(TrainError::Config { stage: stage.name.clone(), key: "reference", problem });
        }
        let order = Order::new(rows.len(), seed, stage.shuffle)?;
        Ok(Self::assemble(stage, rows, stage.adapt(policy, seed)?, reference, order))
    }

    /// Starts a stage whose reference is scored step by step, by [`StageRun::score_ahead`]: for a reference that moves, or
    /// rows that are seen once.
    ///
    /// # Errors
    /// As [`StageRun::new`], for an objective with a reference.
    pub fn unscored(stage: &'a Stage, rows: &'a Rows, policy: Decoder<M, E>, seed: u64) -> Result<Self, TrainError> {
        check(stage, rows, true)?;
        stage.check_split(rows, seed)?;
        let order = Order::new(rows.len(), seed, stage.shuffle)?;
        let none = ReferenceLogps::unscored(rows);
        Ok(Self::assemble(stage, rows, stage.adapt(policy, seed)?, Some(none), order))
    }

    /// Scores the rows of the next step under `reference`.
    ///
    /// # Errors
    /// Rows that the model cannot score.
    pub fn score_ahead(&mut self, reference: &Decoder<M, E>) -> Result<(), TrainError> {
        let Some(all) = &mut self.reference else { return Ok(()) };
        let (next, most) = (self.order.clone().batch(self.stage.batch_size), self.stage.micro_batch_tokens);
        let (feed, sides) = (Feed::of(&self.stage.objective), self.rows.sides());
        let mut scores = score_rows(reference, &self.rows.pick(&next), feed, most)?.into_iter();
        for &row in &next {
            all.logps[row * sides..][..sides].iter_mut().zip(&mut scores).for_each(|(to, s)| *to = s);
        }
        if let Some(others) = &self.mismatched {
            all.mismatched.resize(self.rows.len(), f64::NAN);
            let picked = others.pick(&next);
            let scores = score_rows(reference, &picked, Feed::sums(&picked), most)?.concat();
            next.iter().zip(scores).for_each(|(&row, s)| all.mismatched[row] = s);
        }
        Ok(())
    }

    pub(crate) fn assemble(
        stage: &'a Stage,
        rows: &'a Rows,
        mut policy: Decoder<M, E>,
        reference: Option<ReferenceLogps>,
        order: Order,
    ) -> Self {
        policy.precision = stage.precision.into();
        policy.checkpointing = stage.gradient_checkpointing;
        let mut optimiser = AdamW::new(stage.weight_decay);
        (optimiser.betas, optimiser.eps) = (stage.betas, stage.eps);
        if stage.optimizer_state == Precision::Bf16 {
            optimiser.format = MomentFormat::Bf16;
        }
        let dev = Cpu::default();
        let mismatched = if reads_baseline(&stage.objective) { rows.mismatched() } else { None };
        let (heads, grads, weight, step, tokens) = (None, None, 1.0, 0, 0);
        StageRun { stage, rows, policy, heads, reference, mismatched, optimiser, grads, weight, order, step, tokens, dev }
    }

    /// Makes sure that a policy which starts as its own reference also scores like it, on the first rows of the data.
    ///
    /// # Errors
    /// Names the first row where the two differ by more than rounding.
    pub fn check_reference(&self) -> Result<(), TrainError> {
        let Some(all) = &self.reference else { return Ok(()) };
        let first: Vec<usize> = (0..self.rows.len().min(8)).collect();
        let (feed, most) = (Feed::of(&self.stage.objective), self.stage.micro_batch_tokens);
        let scores = score_rows(&self.policy, &self.rows.pick(&first), feed, most)?;
        for (i, (policy, reference)) in scores.iter().zip(&all.logps).enumerate() {
            let (policy, reference): (f64, f64) = (policy.iter().sum(), reference.iter().sum());
            if (policy - reference).abs() > 1e-3 * reference.abs().max(1.0) {
                let (stage, row) = (self.stage.name.clone(), self.rows.source(i / self.rows.sides()).to_string());
                return Err(TrainError::Reference { stage, row, policy, reference });
            }
        }
        Ok(())
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

    /// The policy as it is now.
    pub fn policy(&self) -> &Decoder<M, E> {
        &self.policy
    }

    /// Ends the stage.
    pub fn into_policy(self) -> Decoder<M, E> {
        self.policy
    }

    /// The next optimiser step; nothing once the stage is complete.
    ///
    /// # Errors
    /// A loss or gradient that is not finite, with the row.
    pub fn next_step(&mut self) -> Result<Option<StepMetrics>, TrainError> {
        let total = self.total();
        if self.step >= total {
            return Ok(None);
        }
        let factor = learning_rate(self.stage.schedule, self.step, total, self.stage.warmup(total));
        let lr = self.stage.learning_rate * factor;
        let rows = self.order.batch(self.stage.batch_size);
        let update = self.update(&rows, lr)?;
        self.step += 1;
        self.tokens += update.sums.tokens;
        Ok(Some(self.metrics(&update, lr)))
    }

    fn metrics(&self, update: &Update, lr: f64) -> StepMetrics {
        let mut figures = Map::new();
        for (name, _) in update.sums.diagnostics.iter() {
            if let Some(mean) = update.sums.diagnostics.mean(name) {
                figures.insert(name.to_owned(), mean.into());
            }
        }
        let at = self.order.state();
        StepMetrics {
            stage: self.stage.name.clone(),
            step: self.step,
            epoch: at.epoch as f64 + at.position as f64 / at.rows as f64,
            loss: update.sums.loss / update.sums.weight,
            grad_norm: update.grad_norm,
            learning_rate: lr,
            num_tokens: self.tokens,
            figures,
        }
    }

    /// Runs to the end: metrics after each step, a checkpoint into `folder` every `checkpoint_every` steps, and
    /// `each` after every step for whoever wants to look on.
    ///
    /// # Errors
    /// As [`StageRun::next_step`]; files that cannot be written.
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
steps!(StageRun);

/// Whether stage, rows and reference go together.
fn check(stage: &Stage, rows: &Rows, reference: bool) -> Result<(), TrainError> {
    stage.check_rows(rows)?;
    if stage.objective.needs_reference() != reference {
        let problem = format!("{} and the reference do not go together", stage.objective.name());
        return Err(TrainError::Config { stage: stage.name.clone(), key: "objective", problem });
    }
    Ok(())
}
