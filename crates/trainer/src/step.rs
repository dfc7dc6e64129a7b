//! One optimiser step: micro-batches, accumulation, clipping, update.
use crate::constants::reads_squares;
use crate::error::TrainError;
use crate::feed::{Feed, beside};
use crate::forward;
use crate::online::OBJECTIVE;
use crate::run::StageRun;
use dfdx::prelude::*;
use std::collections::BTreeMap;
use std::ops::Range;
use tropism_core::{Diagnostics, LossTerms};
use tropism_data::batches::batches;
use tropism_data::pack::Packed;
use tropism_lm::{Decoder, Dims};
use tropism_objectives::Batch;
use tropism_ops::{Grads, OpsError, Scalar, grad_norm, param_norms, tape_into};

/// Loss terms on a tape that adds to a gradient store.
type Terms<E> = LossTerms<usize, E, Cpu, OwnedTape<E, Cpu>>;

/// What the micro-batches of a step add up to.
#[derive(Default)]
pub(crate) struct Sums {
    pub(crate) loss: f64,
    pub(crate) weight: f64,
    pub(crate) tokens: usize,
    pub(crate) diagnostics: Diagnostics,
}

/// Figures of an update.
pub(crate) struct Update {
    pub(crate) sums: Sums,
    pub(crate) grad_norm: f64,
}

impl<M: Dims, E: Scalar> StageRun<'_, M, E>
where
    Cpu: Device<E>,
{
    /// Learns from the given rows at learning rate `lr`.
    pub(crate) fn update(&mut self, rows: &[usize], lr: f64) -> Result<Update, TrainError> {
        let sums = self.accumulate(rows)?;
        let mut grads = self.grads.take().unwrap_or_else(Gradients::leaky);
        // gradients are sums so far: the one division is part of the update
        let scale = 1.0 / sums.weight;
        let norm = match &self.heads {
            Some(heads) => grad_norm(heads, &mut grads)?,
            None => grad_norm(&self.policy, &mut grads)?,
        } * scale;
        if !norm.is_finite() {
            let rows: Vec<String> = rows.iter().map(|&r| self.rows.source(r).to_string()).collect();
            let (stage, step) = (self.stage.name.clone(), self.step + 1);
            return Err(TrainError::Gradient { stage, step, value: norm, rows: rows.join("; ") });
        }
        let clip = (self.stage.max_grad_norm / (norm + 1e-6)).min(1.0);
        match &mut self.heads {
            Some(heads) => self.optimiser.step(heads, &mut grads, lr, scale * clip)?,
            None => self.optimiser.step(&mut self.policy, &mut grads, lr, scale * clip)?,
        }
        self.grads = Some(grads);
        Ok(Update { sums, grad_norm: norm })
    }

    /// Mean loss of the given rows, and the L2 norm of every parameter's gradient of it, by name. The policy stays as it
    /// is; [`StageRun::apply`] can use the gradients.
    ///
    /// # Errors
    /// A loss that is not finite.
    pub fn loss_and_gradients(&mut self, rows: &[usize]) -> Result<(f64, BTreeMap<String, f64>), TrainError> {
        self.grads = None;
        let sums = self.accumulate(rows)?;
        let mut grads = self.grads.take().unwrap_or_else(Gradients::leaky);
        let mut norms = param_norms(&self.policy, &mut grads)?;
        norms.values_mut().for_each(|n| *n /= sums.weight);
        self.grads = Some(grads);
        self.weight = sums.weight;
        Ok((sums.loss / sums.weight, norms))
    }

    /// Hands policy, gradients and the factor that makes them the mean's to an optimiser of the caller's.
    ///
    /// # Errors
    /// What the optimiser fails with.
    pub fn apply(
        &mut self,
        optimiser: impl FnOnce(&mut Decoder<M, E>, &mut Grads<E>, f64) -> Result<(), OpsError>,
    ) -> Result<(), TrainError> {
        let Some(mut grads) = self.grads.take() else { return Ok(()) };
        optimiser(&mut self.policy, &mut grads, 1.0 / self.weight)?;
        self.grads = Some(grads);
        Ok(())
    }

    /// Adds the gradients of all rows to the store.
    pub(crate) fn accumulate(&mut self, rows: &[usize]) -> Result<Sums, TrainError> {
        let picked = self.rows.pick(rows);
        let baseline = self.baseline(rows)?;
        let whole = self.denominators(rows, baseline)?;
        let ranges = batches(&picked.lengths(), Some(self.stage.micro_batch_tokens), usize::MAX)?;
        self.check_split(ranges.len())?;
        let mut sums = Sums::default();
        for range in ranges {
            let micro = &rows[range];
            let (terms, tokens) = self.terms(micro, baseline).map_err(|e| self.named(e, micro))?;
            // further parts of the loss are brought to the first one's denominator, by which the update divides
            for (part, denominator) in terms.part_values().iter().zip(&whole).filter(|(_, d)| **d > 0.0) {
                sums.loss += part.iter().sum::<f64>() * (whole[0] / denominator);
            }
            sums.weight += terms.weight();
            sums.tokens += tokens;
            sums.diagnostics.extend(&terms.diagnostics)?;
            self.grads = Some(terms.sum_over(&whole)?.try_backward()?);
        }
        Ok(sums)
    }

    /// What the weights of the given rows add up to, for each part of the loss.
    fn denominators(&self, rows: &[usize], baseline: Option<f64>) -> Result<Vec<f64>, TrainError> {
        let (objective, feed) = (&self.stage.objective, Feed::of(&self.stage.objective));
        let packed = feed.pack(&self.rows.pick(rows))?;
        // weights do not depend on log-probabilities: any will do
        let likely = vec![vec![-1.0; self.longest(&packed)]; packed.sequences.len()];
        let likely: Vec<&[f64]> = likely.iter().map(Vec::as_slice).collect();
        let input = feed.kept::<f64>(&likely, &packed)?;
        let reference = objective.needs_reference().then(|| feed.kept::<f64>(&likely, &packed)).transpose()?;
        let columns = self.columns(rows, &packed, baseline, None)?;
        let batch = Batch::from(beside::<f64, NoneTape>(input, reference)).with_columns(columns);
        Ok(objective.denominators(batch)?)
    }

    /// Most targets of a sequence and its prompt.
    fn longest(&self, packed: &Packed) -> usize {
        packed.sequences.iter().chain(&packed.prompts).map(Range::len).max().unwrap_or(0) * 2
    }

    /// Refuses to split a step whose rows depend on each other.
    fn check_split(&self, parts: usize) -> Result<(), TrainError> {
        if parts < 2 || !self.stage.objective.couples_rows() {
            return Ok(());
        }
        let name = self.stage.objective.name();
        let problem = format!("splits a step into {parts} micro-batches, but {name} compares its rows; raise it");
        Err(TrainError::Config { stage: self.stage.name.clone(), key: "micro_batch_tokens", problem })
    }

    /// The loss terms of one micro-batch, on a tape that adds to the store, and its tokens.
    fn terms(&mut self, rows: &[usize], baseline: Option<f64>) -> Result<(Terms<E>, usize), TrainError> {
        let (objective, feed) = (&self.stage.objective, Feed::of(&self.stage.objective));
        let packed = feed.pack(&self.rows.pick(rows))?;
        let store = || match &self.heads {
            Some(heads) => tropism_ops::alloc_grads(heads),
            None => tropism_ops::alloc_grads(&self.policy),
        };
        let tape = tape_into(&self.dev, self.grads.take().map_or_else(store, Ok)?);
        let (logps, squares) = match &self.heads {
            Some(heads) => (forward::head_logps(heads, &packed, &self.objectives(rows), tape)?, None),
            None => forward::token_logps(&self.policy, &packed, reads_squares(objective), tape)?,
        };
        let reference = self.reference.as_ref().map(|r| {
            let sides = self.rows.sides();
            let kept = rows.iter().flat_map(|&row| &r.logps[row * sides..][..sides]).map(Vec::as_slice);
            feed.kept(&kept.collect::<Vec<_>>(), &packed)
        });
        let input = beside(feed.input(logps, &packed)?, reference.transpose()?);
        let columns = self.columns(rows, &packed, baseline, squares.as_deref())?;
        let terms = objective.loss(Batch::from(input).with_columns(columns))?;
        Ok((terms, packed.tokens.len()))
    }

    /// The objective of each sequence of some pairs, by the column of that name.
    fn objectives(&self, rows: &[usize]) -> Vec<usize> {
        let of_pairs = self.rows.pick(rows).numbers(OBJECTIVE).unwrap_or_default();
        of_pairs.iter().flat_map(|&o| [o as usize; 2]).collect()
    }

    /// Puts stage, step and the row's source into an error about a value.
    fn named(&self, e: TrainError, rows: &[usize]) -> TrainError {
        match e.not_finite() {
            None => e,
            Some((what, row, value)) => TrainError::NotFinite {
                stage: self.stage.name.clone(),
                step: self.step + 1,
                row: rows.get(row).map_or_else(String::new, |&r| self.rows.source(r).to_string()),
                what: what.to_owned(),
                value,
            },
        }
    }
}

/// The type of a gradient store, for [`StageRun`].
pub(crate) type Store<E> = Option<Grads<E>>;
