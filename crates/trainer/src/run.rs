//! One stage in motion.
use crate::error::TrainError;
use crate::metrics::{Metrics, StepMetrics};
use crate::progress::Progress;
use crate::reference::{ReferenceLogps, reference_logps};
use crate::rows::Rows;
use crate::schedule::learning_rate;
use crate::score::score_pairs;
use crate::stage::{Precision, Stage};
use crate::step::{Store, Update};
use dfdx::prelude::*;
use serde_json::Map;
use std::path::Path;
use tropism_data::order::Order;
use tropism_data::tokens::TokenPair;
use tropism_lm::{Decoder, Dims};
use tropism_objectives::InputKind;
use tropism_ops::{AdamW, MomentFormat, Scalar};

/// A stage that is being trained.
pub struct StageRun<'a, M: Dims, E: Dtype> {
    pub(crate) stage: &'a Stage,
    pub(crate) rows: &'a Rows,
    pub(crate) policy: Decoder<M, E>,
    /// chosen and rejected log-probability of every row under the reference
    pub(crate) reference: Option<ReferenceLogps>,
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
    /// Bad options, no rows, rows of the wrong kind for the objective, a reference too many or too few, rows that the model
    /// cannot score.
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
            reference_logps(&model, rows, stage.micro_batch_tokens, None)
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
        if let Some(found) = reference.as_ref().map(Vec::len).filter(|n| *n != rows.len()) {
            let problem = format!("has reference log-probabilities of {found} rows, there are {}", rows.len());
            return Err(TrainError::Config { stage: stage.name.clone(), key: "reference", problem });
        }
        let order = Order::new(rows.len(), seed, true)?;
        Ok(Self::assemble(stage, rows, stage.adapt(policy, seed)?, reference, order))
    }

    /// Starts a stage whose reference is scored step by step, by [`StageRun::score_ahead`]: for a reference that moves, or
    /// rows that are seen once.
    ///
    /// # Errors
    /// As [`StageRun::new`], for an objective with a reference.
    pub fn unscored(stage: &'a Stage, rows: &'a Rows, policy: Decoder<M, E>, seed: u64) -> Result<Self, TrainError> {
        check(stage, rows, true)?;
        let order = Order::new(rows.len(), seed, true)?;
        // a row that is learnt from without a score is an error that names the row
        let none = vec![[f64::NAN; 2]; rows.len()];
        Ok(Self::assemble(stage, rows, stage.adapt(policy, seed)?, Some(none), order))
    }

    /// Scores the rows of the next step under `reference`.
    ///
    /// # Errors
    /// Rows that the model cannot score.
    pub fn score_ahead(&mut self, reference: &Decoder<M, E>) -> Result<(), TrainError> {
        let (Some(all), Rows::Pairs(pairs)) = (&mut self.reference, self.rows) else { return Ok(()) };
        let next = self.order.clone().batch(self.stage.batch_size);
        let picked: Vec<TokenPair> = next.iter().map(|&r| pairs[r].clone()).collect();
        for (row, s) in next.into_iter().zip(score_pairs(reference, &picked, self.stage.micro_batch_tokens)?) {
            all[row] = [s.chosen.logps, s.rejected.logps];
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
        StageRun { stage, rows, policy, reference, optimiser, grads: None, weight: 1.0, order, step: 0, tokens: 0, dev }
    }

    /// Makes sure that a policy which starts as its own reference also scores like it, on the first rows of the data.
    ///
    /// # Errors
    /// Names the first row where the two differ by more than rounding.
    pub fn check_reference(&self) -> Result<(), TrainError> {
        let (Some(all), Rows::Pairs(pairs)) = (&self.reference, self.rows) else { return Ok(()) };
        let n = pairs.len().min(8);
        for (i, score) in score_pairs(&self.policy, &pairs[..n], self.stage.micro_batch_tokens)?.iter().enumerate() {
            for (policy, reference) in [(score.chosen.logps, all[i][0]), (score.rejected.logps, all[i][1])] {
                if (policy - reference).abs() > 1e-3 * reference.abs().max(1.0) {
                    let (stage, row) = (self.stage.name.clone(), pairs[i].source.to_string());
                    return Err(TrainError::Reference { stage, row, policy, reference });
                }
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
        mut each: impl FnMut(&StepMetrics),
    ) -> Result<(), TrainError> {
        while let Some(m) = self.next_step()? {
            metrics.write(&m)?;
            progress.step(&m);
            each(&m);
            let every = self.stage.checkpoint_every;
            if every > 0 && self.step.is_multiple_of(every) && self.step < self.total() {
                self.save(folder, metrics.bytes())?;
            }
        }
        progress.finish();
        Ok(())
    }
}

/// Whether stage, rows and reference go together.
fn check(stage: &Stage, rows: &Rows, reference: bool) -> Result<(), TrainError> {
    stage.check()?;
    let refuse = |problem: String| TrainError::Config { stage: stage.name.clone(), key: "objective", problem };
    let name = stage.objective.name();
    if rows.is_empty() {
        return Err(refuse(format!("{name} has no rows to learn from; look at the audit of the data")));
    }
    let (input, pairs) = (stage.objective.input(), stage.objective.is_pairwise());
    if !pairs && (input != InputKind::Completions || stage.objective.needs_reference()) {
        let model = if stage.objective.needs_reference() { " with a reference model" } else { "" };
        return Err(refuse(format!("{name} reads {input}{model}, which stages cannot give it yet; take a method on pairs")));
    }
    if let Some(column) = stage.objective.columns().first() {
        return Err(refuse(format!("{name} reads `{}`, which rows of a stage do not have yet", column.name)));
    }
    if pairs != matches!(rows, Rows::Pairs(_)) {
        return Err(refuse(format!("{name} was given the wrong kind of rows")));
    }
    if stage.objective.needs_reference() != reference {
        return Err(refuse(format!("{name} and the reference do not go together")));
    }
    Ok(())
}
