//! Updates from the completions of a step.
use super::advantages::Credit;
use super::batch::Batch;
use super::options::PolicyGradientOptions;
use super::pass::{Layout, Model, Pass};
use super::run::OnlineRun;
use crate::error::TrainError;
use dfdx::prelude::*;
use tropism_core::{Diagnostics, LossTerms, ScoreTable, TokenLogps};
use tropism_data::batches::batches;
use tropism_lm::Dims;
use tropism_ops::{Scalar, TapeOf, alloc_grads, data, grad_norm, tape_into};
use tropism_policy_gradient::{Coupling, Critic, Field, Groups, Method, Rollout, entropy_threshold, old_policy_kl};

/// A rollout on the processor, sizes known at run time.
type Fed<E, T> = Rollout<usize, usize, E, Cpu, T>;

/// What the updates of a step come to.
#[derive(Default)]
pub(crate) struct Learnt {
    /// loss and gradient norm of each update
    pub(crate) losses: Vec<f64>,
    pub(crate) norms: Vec<f64>,
    /// tokens computed, shared prompts once
    pub(crate) tokens: usize,
    /// of all rows of all updates
    pub(crate) diagnostics: Diagnostics,
    /// sum of the entropies of all tokens of the first pass over the rollout, and their number
    pub(crate) entropy: (f64, usize),
}

/// Figures of an update that a part of it needs.
#[derive(Clone, Copy, Default)]
struct Whole {
    entropy_threshold: Option<f64>,
    step_kl: Option<f64>,
}

/// Figures of tokens of some rows that are read beside log-probabilities, with the tape of the first two.
struct Beside<E: Dtype, T> {
    entropies: Option<Tensor<(usize, usize), E, Cpu, T>>,
    values: Option<Tensor<(usize, usize), E, Cpu, T>>,
}

impl<M: Dims, E: Scalar> OnlineRun<'_, M, E>
where
    Cpu: Device<E>,
{
    /// All updates of a step.
    pub(crate) fn learn(&mut self, batch: &Batch, lr: f64) -> Result<Learnt, TrainError> {
        let mut learnt = Learnt::default();
        let options = &self.stage.objective;
        let (iterations, parts) = (options.iterations, options.mini_batches);
        for iteration in 0..iterations {
            let mut groups: Vec<usize> = (0..batch.members.len()).collect();
            if parts > 1 {
                self.shuffles.shuffle(&mut groups);
            }
            for (i, part) in groups.chunks(groups.len().div_ceil(parts)).enumerate() {
                let fresh = iteration == 0 && i == 0;
                let mut part = part.to_vec();
                // rows that nothing is learnt from are not computed; groups in order share nothing but stay readable
                part.retain(|&g| batch.members[g].clone().any(|r| batch.kept[r]));
                part.sort_unstable();
                self.update(batch, &part, (fresh, iteration == 0), lr, &mut learnt)?;
            }
        }
        Ok(learnt)
    }

    /// One update from whole groups; `fresh`: the policy is still the one that sampled.
    fn update(
        &mut self,
        batch: &Batch,
        groups: &[usize],
        (fresh, first): (bool, bool),
        lr: f64,
        learnt: &mut Learnt,
    ) -> Result<(), TrainError> {
        let whole = match groups {
            [] => return Ok(()),
            groups => self.denominators(batch, &batch.rows_of(groups), fresh)?,
        };
        if whole[0] == 0.0 {
            return Ok(());
        }
        let ranges = batches(&batch.lengths(groups), Some(self.stage.micro_batch_tokens), usize::MAX)?;
        let figures = self.ahead(batch, groups, ranges.len())?;
        let mut loss = 0.0;
        for range in ranges {
            let rows = batch.rows_of(&groups[range]);
            let tape = tape_into(&self.dev, self.grads.take().map_or_else(|| alloc_grads(&self.policy), Ok)?);
            let pass = self.model().pass(&batch.pick(&rows), true, tape)?;
            learnt.tokens += pass.packed.tokens.len();
            if first {
                add_entropies(&pass, &mut learnt.entropy);
            }
            let terms = self.terms(batch, &rows, pass, figures, fresh).map_err(|e| self.named(e, batch, &rows))?;
            for (part, denominator) in terms.part_values().iter().zip(&whole).filter(|(_, d)| **d > 0.0) {
                loss += part.iter().sum::<f64>() / denominator;
            }
            learnt.diagnostics.extend(&terms.diagnostics)?;
            self.grads = Some(terms.sum_over(&whole)?.try_backward()?);
        }
        let norm = self.step(whole[0], lr, batch, groups)?;
        learnt.losses.push(loss);
        learnt.norms.push(norm);
        Ok(())
    }

    /// The optimiser's step on gradients that are sums so far.
    fn step(&mut self, weight: f64, lr: f64, batch: &Batch, groups: &[usize]) -> Result<f64, TrainError> {
        let Some(mut grads) = self.grads.take() else { return Ok(0.0) };
        let scale = 1.0 / weight;
        let norm = grad_norm(&self.policy, &mut grads)? * scale;
        if !norm.is_finite() {
            let rows = groups.iter().map(|&g| batch.samples[batch.members[g].start].source.to_string());
            let (stage, step, rows) = (self.stage.name.clone(), self.step + 1, rows.collect::<Vec<_>>().join("; "));
            return Err(TrainError::Gradient { stage, step, value: norm, rows });
        }
        let clip = (self.stage.max_grad_norm / (norm + 1e-6)).min(1.0);
        self.optimiser.step(&mut self.policy, &mut grads, lr, scale * clip)?;
        self.grads = Some(grads);
        Ok(norm)
    }

    pub(crate) fn model(&self) -> Model<'_, M, E> {
        let critic = self.stage.objective.has_critic().then_some(&self.policy.heads);
        Model { trunk: &self.policy.trunk, critic, temperature: self.stage.objective.rollout.temperature }
    }

    /// Figures of the whole update, where it is split and its loss reads one.
    fn ahead(&self, batch: &Batch, groups: &[usize], parts: usize) -> Result<Whole, TrainError> {
        let loss = &self.stage.objective.loss;
        if parts < 2 || loss.coupling() != Coupling::Step {
            return Ok(Whole::default());
        }
        let (mut logps, mut old, mut entropies) = (vec![], vec![], vec![]);
        let reads = |field| self.stage.objective.need(field).is_some();
        for range in batches(&batch.lengths(groups), Some(self.stage.micro_batch_tokens), usize::MAX)? {
            let rows = batch.rows_of(&groups[range]);
            let pass = self.model().pass(&batch.pick(&rows), reads(Field::EntropyThreshold), NoneTape)?;
            for (sequence, row) in pass.packed.sequences.iter().zip(rows).filter(|(_, r)| batch.kept[*r]) {
                let flat =
                    |t: &Tensor<(usize,), E, Cpu>| data(t)[sequence.clone()].iter().map(|v| v.f()).collect::<Vec<_>>();
                logps.extend(flat(&pass.logps));
                entropies.extend(pass.entropies.as_ref().map(flat).unwrap_or_default());
                old.extend(batch.old.as_ref().map(|o| o[row].clone()).unwrap_or_default());
            }
        }
        let mut whole = Whole::default();
        if let (true, Some(estimator)) = (reads(Field::StepKl), loss.step_estimator()) {
            whole.step_kl = Some(old_policy_kl(&logps, &old, &vec![true; old.len()], estimator)?);
        }
        if let (true, Some(quantile)) = (reads(Field::EntropyThreshold), loss.top_entropy_quantile()) {
            whole.entropy_threshold = Some(entropy_threshold(&entropies, quantile)?);
        }
        Ok(whole)
    }

    /// What the weights of an update's rows add up to, for each part of the loss. They do not depend on log-probabilities.
    fn denominators(&self, batch: &Batch, rows: &[usize], fresh: bool) -> Result<Vec<f64>, TrainError> {
        let width = rows.iter().map(|&r| batch.written[r].len()).max().unwrap_or(0);
        let mask: Vec<bool> = rows.iter().flat_map(|&r| (0..width).map(move |c| c < batch.written[r].len())).collect();
        let table = || Ok::<_, TrainError>(self.dev.try_tensor_from_vec(vec![-1.0_f64; mask.len()], (rows.len(), width))?);
        let objective = &self.stage.objective;
        let entropies = objective.requires(Field::Entropies).then(table).transpose()?;
        let values = objective.has_critic().then(table).transpose()?;
        let beside: Beside<f64, NoneTape> = Beside { entropies, values };
        let rollout = Rollout::new(TokenLogps::new(table()?, &mask)?);
        let rollout =
            filled::<f64, NoneTape>(objective, rollout, batch, rows, (&mask, width), beside, Whole::default(), fresh)?;
        Ok(objective.loss.loss(rollout)?.denominators())
    }

    /// The loss terms of some rows.
    fn terms(
        &self,
        batch: &Batch,
        rows: &[usize],
        pass: Pass<E, OwnedTape<E, Cpu>>,
        whole: Whole,
        fresh: bool,
    ) -> Result<LossTerms<usize, E, Cpu, OwnedTape<E, Cpu>>, TrainError> {
        let (objective, layout) = (&self.stage.objective, Layout::of(&pass.packed));
        let wanted = pass.entropies.filter(|_| objective.requires(Field::Entropies));
        let entropies = wanted.map(|h| layout.table(h.put_tape(OwnedTape::default()))).transpose()?;
        let values = pass.values.map(|v| layout.table(v)).transpose()?;
        let policy = TokenLogps::new(layout.table(pass.logps.put_tape(pass.tape))?, &layout.mask)?;
        let beside = Beside { entropies, values };
        let shape = (layout.mask.as_slice(), layout.width);
        let rollout = filled(objective, Rollout::new(policy), batch, rows, shape, beside, whole, fresh)?;
        Ok(objective.loss.loss(rollout)?)
    }

    /// Puts stage, step and the prompt's source into an error about a value.
    fn named(&self, e: TrainError, batch: &Batch, rows: &[usize]) -> TrainError {
        match e.not_finite() {
            None => e,
            Some((what, row, value)) => TrainError::NotFinite {
                stage: self.stage.name.clone(),
                step: self.step + 1,
                row: rows.get(row).map_or_else(String::new, |&r| batch.samples[r].source.to_string()),
                what: what.to_owned(),
                value,
            },
        }
    }
}

fn add_entropies<E: Scalar, T>(pass: &Pass<E, T>, to: &mut (f64, usize))
where
    Cpu: Device<E>,
{
    if let Some(entropies) = &pass.entropies {
        to.0 += data(entropies).iter().map(|h| h.f()).sum::<f64>();
        to.1 += data(entropies).len();
    }
}

/// A rollout with all that the loss reads.
#[expect(clippy::too_many_arguments, reason = "each is a part of the rollout")]
fn filled<E: Scalar, T: TapeOf<E>>(
    objective: &PolicyGradientOptions,
    rollout: Fed<E, T>,
    batch: &Batch,
    rows: &[usize],
    (mask, width): (&[bool], usize),
    beside: Beside<E, T>,
    whole: Whole,
    fresh: bool,
) -> Result<Fed<E, T>, TrainError>
where
    Cpu: Device<E>,
{
    let dev = Cpu::default();
    let spread = |values: &[Vec<f64>]| -> Vec<f64> {
        let cell = |row: usize, c: usize| values[row].get(c).copied().unwrap_or(0.0);
        rows.iter().flat_map(|&r| (0..width).map(move |c| cell(r, c))).collect()
    };
    let logps = |values: &[Vec<f64>]| -> Result<TokenLogps<usize, usize, E, Cpu>, TrainError> {
        let cells = spread(values).into_iter().map(E::c).collect();
        Ok(TokenLogps::new(dev.try_tensor_from_vec(cells, (rows.len(), width))?, mask)?)
    };
    let pick = |values: &[f64]| rows.iter().map(|&r| values[r]).collect::<Vec<f64>>();
    let mut rollout = rollout.with_kept(&rows.iter().map(|&r| batch.kept[r]).collect::<Vec<_>>())?;
    match &batch.credit {
        Some(Credit::Rows(advantages)) => rollout = rollout.with_advantages(&pick(advantages))?,
        Some(Credit::Tokens(advantages)) => rollout = rollout.with_advantages(&spread(advantages))?,
        None => {}
    }
    // the policy that sampled is its own old policy, exactly
    if let (true, Some(old)) = (objective.requires(Field::Old) || !fresh, &batch.old) {
        rollout = rollout.with_old(logps(old)?)?;
    }
    if let (true, Some(reference)) = (objective.requires(Field::Reference), &batch.reference) {
        rollout = rollout.with_reference(logps(reference)?)?;
    }
    if objective.requires(Field::Sampler) {
        rollout = rollout.with_sampler(logps(&batch.sampler)?)?;
    }
    if let Some(entropies) = beside.entropies {
        rollout = rollout.with_entropies(ScoreTable::new(entropies, mask)?)?;
    }
    if let (Some(values), Some(old), Some(returns)) = (beside.values, &batch.values, &batch.returns) {
        let critic = Critic::new(ScoreTable::new(values, mask)?, &spread(old), &spread(returns))?;
        rollout = rollout.with_critic(critic)?;
    }
    if objective.requires(Field::Rewards) {
        // neither right nor wrong where no verdict was given
        let verdicts = pick(&batch.sums).into_iter().map(|r| if r.is_nan() { -1.0 } else { r });
        rollout = rollout.with_rewards(&verdicts.collect::<Vec<_>>())?;
    }
    if objective.requires(Field::Groups) {
        rollout = rollout.with_groups(Groups::new(&rows.iter().map(|&r| batch.groups.of(r)).collect::<Vec<_>>())?)?;
    }
    if let Some(threshold) = whole.entropy_threshold {
        rollout = rollout.with_entropy_threshold(threshold);
    }
    if let Some(divergence) = whole.step_kl {
        rollout = rollout.with_step_kl(divergence);
    }
    Ok(rollout)
}
