//! One optimiser step: micro-batches, accumulation, clipping, update.
use crate::error::TrainError;
use crate::forward;
use crate::rows::Rows;
use crate::run::StageRun;
use dfdx::prelude::*;
use std::collections::BTreeMap;
use tropism_core::{Diagnostics, LossTerms, PairLogps};
use tropism_data::batches::batches;
use tropism_lm::{Decoder, Dims};
use tropism_ops::{Grads, OpsError, Scalar, TapeOf, grad_norm, param_norms, tape_into};

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
        let norm = grad_norm(&self.policy, &mut grads)? * scale;
        if !norm.is_finite() {
            let rows: Vec<String> = rows.iter().map(|&r| self.rows.source(r).to_string()).collect();
            let (stage, step) = (self.stage.name.clone(), self.step + 1);
            return Err(TrainError::Gradient { stage, step, value: norm, rows: rows.join("; ") });
        }
        let clip = (self.stage.max_grad_norm / (norm + 1e-6)).min(1.0);
        self.optimiser.step(&mut self.policy, &mut grads, lr, scale * clip)?;
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
        let whole = self.denominators(&picked)?;
        let ranges = batches(&picked.lengths(), Some(self.stage.micro_batch_tokens), usize::MAX)?;
        self.check_split(ranges.len())?;
        let mut sums = Sums::default();
        for range in ranges {
            let micro = &rows[range];
            let (terms, tokens) = self.terms(micro).map_err(|e| self.named(e, micro))?;
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
    fn denominators(&self, rows: &Rows) -> Result<Vec<f64>, TrainError> {
        let lengths = rows.pack()?.lengths();
        Ok(match rows {
            Rows::Samples(_) => self.stage.objective.sequence_denominators(&lengths)?,
            Rows::Pairs(_) => {
                let side = |first: usize| lengths.iter().skip(first).step_by(2).copied().collect::<Vec<usize>>();
                self.stage.objective.pair_denominators(&side(0), &side(1))?
            }
        })
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
    fn terms(&mut self, rows: &[usize]) -> Result<(LossTerms<usize, E, Cpu, OwnedTape<E, Cpu>>, usize), TrainError> {
        let picked = self.rows.pick(rows);
        let packed = picked.pack()?;
        let tape = tape_into(&self.dev, self.grads.take().map_or_else(|| tropism_ops::alloc_grads(&self.policy), Ok)?);
        let objective = &self.stage.objective;
        let terms = match picked {
            Rows::Samples(_) => objective.sequence_loss(forward::samples(&self.policy, &packed, tape)?)?,
            Rows::Pairs(_) => {
                let policy = forward::pairs(&self.policy, &packed, tape)?;
                let reference = self.reference_of(rows, &policy)?;
                objective.pair_loss(policy, reference)?
            }
        };
        Ok((terms, packed.tokens.len()))
    }

    /// The stored reference log-probabilities of some rows.
    fn reference_of<T: TapeOf<E>>(
        &self,
        rows: &[usize],
        policy: &PairLogps<usize, E, Cpu, T>,
    ) -> Result<Option<PairLogps<usize, E, Cpu>>, TrainError> {
        let Some(all) = &self.reference else { return Ok(None) };
        let side = |k: usize| {
            let values = rows.iter().map(|&r| E::c(all[r][k])).collect();
            self.dev.try_tensor_from_vec(values, (rows.len(),))
        };
        let counts = |t: &Tensor<(usize,), E, Cpu>| t.as_vec().iter().map(|n| n.f() as usize).collect::<Vec<_>>();
        let (chosen, rejected) = (counts(&policy.chosen_lengths), counts(&policy.rejected_lengths));
        Ok(Some(PairLogps::new(side(0)?, side(1)?, &chosen, &rejected)?))
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
