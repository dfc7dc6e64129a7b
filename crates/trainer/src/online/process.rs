//! A process reward model that learns beside the policy, and the advantages of steps that it gives.
use super::advantages::Credit;
use super::batch::Batch;
use super::options::PolicyGradientOptions;
use super::pass::Model;
use super::run::OnlineRun;
use super::steps::SENTENCE_ENDS;
use crate::error::TrainError;
use crate::optimiser::clipped_step;
use crate::stage::Stage;
use crate::step::Store;
use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::ops::Range;
use tropism_core::{LossTerms, SequenceLogps, TokenLogps};
use tropism_credit::{Episodes, Oprl, StepAdvantages, normalized_step_rewards, oprl, step_advantages, step_rewards};
use tropism_data::batches::batches;
use tropism_lm::{Decoder, Dims};
use tropism_ops::{AdamW, Scalar, TapeOf, alloc_grads, range_sums, tape_into};

/// OPRL: a process reward model, which is a language model, learns from the outcomes of each step's completions, and its
/// log-ratios to the policy that sampled are rewards of the completions' steps.
///
/// It starts as the stage's policy does and is never reset. A completion is an episode, its sentences are the steps; where the world
/// answers back, its turns are. In each
/// step of the stage the reward model is updated first, then the steps are scored by it, and the advantages
/// [`step_advantages`] take the place of `advantages`.
///
/// Source: arXiv 2509.19199, in which a step is an action of an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProcessRewardOptions {
    /// loss of the reward model; see [`oprl()`]
    pub loss: Oprl,
    /// how outcomes and step rewards become advantages
    pub advantages: StepAdvantages,
    /// peak learning rate of the reward model; its schedule is the stage's
    pub learning_rate: f64,
    /// its gradients are scaled down to this norm
    pub max_grad_norm: f64,
    /// its updates in each step
    pub updates: usize,
    /// bound of a token's log-ratio on both sides; none when left out
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip: Option<f64>,
    /// divide step rewards by the largest magnitude of the step, as the authors' code does
    pub normalize: bool,
    /// texts that end a step; with none of them a completion is one step. Steps of episodes are their turns
    pub step_ends: Vec<String>,
}

impl Default for ProcessRewardOptions {
    fn default() -> Self {
        ProcessRewardOptions {
            loss: Oprl::default(),
            advantages: StepAdvantages::default(),
            learning_rate: 1e-6,
            max_grad_norm: 10.0,
            updates: 1,
            clip: None,
            normalize: false,
            step_ends: SENTENCE_ENDS.map(str::to_owned).to_vec(),
        }
    }
}

impl ProcessRewardOptions {
    pub(super) fn problem(&self) -> Option<String> {
        let positive = |x: f64| x > 0.0 && x.is_finite();
        if let Err(e) = self.loss.check() {
            return Some(format!("cannot be used: {e}"));
        }
        if let Err(e) = self.advantages.check() {
            return Some(format!("cannot be used: {e}"));
        }
        let rules = [
            ("learning_rate", positive(self.learning_rate), self.learning_rate),
            ("max_grad_norm", positive(self.max_grad_norm), self.max_grad_norm),
            ("updates", self.updates > 0, self.updates as f64),
            ("clip", positive(self.clip.unwrap_or(1.0)), self.clip.unwrap_or(1.0)),
        ];
        if let Some((key, _, value)) = rules.into_iter().find(|r| !r.1) {
            return Some(format!("has {key} {value}; it must be above 0"));
        }
        self.step_ends.iter().any(String::is_empty).then(|| "has an empty text in step_ends; remove it".to_owned())
    }
}

/// The reward model in motion.
pub(crate) struct Process<M: Dims, E: Dtype> {
    pub(crate) model: Decoder<M, E>,
    pub(crate) optimiser: AdamW<E>,
    grads: Store<E>,
}

impl<M: Dims, E: Scalar> Process<M, E>
where
    Cpu: Device<E>,
{
    pub(crate) fn new(stage: &Stage<PolicyGradientOptions>, mut model: Decoder<M, E>) -> Self {
        model.precision = stage.precision.into();
        model.checkpointing = stage.gradient_checkpointing;
        Process { model, optimiser: stage.optimiser(), grads: None }
    }
}

/// The steps of the completions that have an outcome.
struct Steps {
    /// completion of each step
    rows: Vec<usize>,
    /// its tokens in the completion
    ranges: Vec<Range<usize>>,
    groups: Vec<usize>,
    outcomes: Vec<f64>,
}

impl Steps {
    fn of(batch: &Batch, all: &[Vec<Range<usize>>]) -> Self {
        let mut found = Steps { rows: vec![], ranges: vec![], groups: vec![], outcomes: vec![] };
        for (group, members) in batch.members.iter().enumerate() {
            for row in members.clone().filter(|&r| !batch.sums[r].is_nan()) {
                for range in &all[row] {
                    found.rows.push(row);
                    found.ranges.push(range.clone());
                    found.groups.push(group);
                    found.outcomes.push(batch.sums[row]);
                }
            }
        }
        found
    }

    /// The steps of some groups.
    fn pick(&self, groups: &[usize]) -> Self {
        let at: Vec<usize> = (0..self.rows.len()).filter(|&i| groups.contains(&self.groups[i])).collect();
        Steps {
            rows: at.iter().map(|&i| self.rows[i]).collect(),
            ranges: at.iter().map(|&i| self.ranges[i].clone()).collect(),
            groups: at.iter().map(|&i| self.groups[i]).collect(),
            outcomes: at.iter().map(|&i| self.outcomes[i]).collect(),
        }
    }

    fn episodes(&self) -> Result<Episodes, TrainError> {
        Ok(Episodes::new(&self.rows, &self.groups, &self.outcomes)?)
    }

    /// Figures of tokens, summed over each step.
    fn sums(&self, by_token: &[Vec<f64>]) -> Vec<f64> {
        self.rows.iter().zip(&self.ranges).map(|(&row, range)| by_token[row][range.clone()].iter().sum()).collect()
    }

    /// Figures of tokens as a rectangle of steps.
    fn table(&self, by_token: &[Vec<f64>]) -> Result<TokenLogps<usize, usize, f64, Cpu>, TrainError> {
        let width = self.ranges.iter().map(Range::len).max().unwrap_or(0);
        let cell = |row: usize, range: &Range<usize>, c: usize| (c < range.len()).then(|| by_token[row][range.start + c]);
        let cells: Vec<Option<f64>> = self
            .rows
            .iter()
            .zip(&self.ranges)
            .flat_map(|(&row, range)| (0..width).map(move |c| cell(row, range, c)))
            .collect();
        let mask: Vec<bool> = cells.iter().map(Option::is_some).collect();
        let values = cells.into_iter().map(Option::unwrap_or_default).collect();
        Ok(TokenLogps::new(Cpu::default().try_tensor_from_vec(values, (self.rows.len(), width))?, &mask)?)
    }

    /// The reward model's loss; `sums` are its log-probabilities of the steps, `old` those of the policy.
    fn loss<E: Scalar, T: TapeOf<E>>(
        &self,
        sums: Tensor<(usize,), E, Cpu, T>,
        old: &[f64],
        config: &Oprl,
    ) -> Result<LossTerms<usize, E, Cpu, T>, TrainError>
    where
        Cpu: Device<E>,
    {
        let lengths: Vec<usize> = self.ranges.iter().map(Range::len).collect();
        let old: Vec<E> = old.iter().map(|v| E::c(*v)).collect();
        let old = SequenceLogps::new(Cpu::default().try_tensor_from_vec(old, (self.rows.len(),))?, &lengths)?;
        Ok(oprl(SequenceLogps::new(sums, &lengths)?, old, &self.episodes()?, config)?)
    }

    /// Number of pairs of each of `groups` groups: the weights of its steps, which do not depend on log-probabilities.
    fn pairs(&self, groups: usize, config: &Oprl) -> Result<Vec<f64>, TrainError> {
        let mut pairs = vec![0.0; groups];
        if self.rows.is_empty() {
            return Ok(pairs);
        }
        let none = vec![0.0; self.rows.len()];
        let zeros: Tensor<(usize,), f64, Cpu> = Cpu::default().try_tensor_from_vec(none.clone(), (none.len(),))?;
        for (weight, &group) in self.loss(zeros, &none, config)?.weights.iter().zip(&self.groups) {
            pairs[group] += weight;
        }
        Ok(pairs)
    }

    /// Share of the pairs of one group, of which one has the better outcome, that are ranked by `scores` like their outcomes.
    fn accuracy(&self, scores: &[f64]) -> Result<Option<f64>, TrainError> {
        let (mut right, mut all) = (0usize, 0usize);
        for group in self.episodes()?.groups() {
            let sums: Vec<(f64, f64)> =
                group.iter().map(|t| (t.outcome, t.steps.iter().map(|&s| scores[s]).sum())).collect();
            for (i, a) in sums.iter().enumerate() {
                for b in sums[i + 1..].iter().filter(|b| a.0 != b.0) {
                    all += 1;
                    right += usize::from((a.0 > b.0) == (a.1 > b.1) && a.1 != b.1);
                }
            }
        }
        Ok((all > 0).then(|| right as f64 / all as f64))
    }
}

impl<M: Dims, E: Scalar> OnlineRun<'_, M, E>
where
    Cpu: Device<E>,
{
    /// Updates the process reward model, and gives each token the advantage of its step; figures of both. `factor` is the
    /// schedule's.
    pub(super) fn attribute_process(&mut self, batch: &mut Batch, factor: f64) -> Result<Map<String, Value>, TrainError> {
        let mut figures = Map::new();
        let Some(options) = self.stage.objective.process_rewards.clone() else { return Ok(figures) };
        let steps = match self.stage.objective.rollout.turn_tokens {
            // an agent's step is its turn
            Some(_) => batch.turns.clone(),
            None => batch.steps(&self.environment, &options.step_ends)?,
        };
        let steps = Steps::of(batch, &steps);
        batch.kept = batch.sums.iter().map(|r| !r.is_nan()).collect();
        let mut advantages: Vec<Vec<f64>> = batch.written.iter().map(|w| vec![0.0; w.len()]).collect();
        if !steps.rows.is_empty() {
            let old = batch.old.clone().unwrap_or_else(|| batch.sampler.clone());
            let before = steps.sums(&old);
            for _ in 0..options.updates {
                self.update_process(batch, &steps, &before, (&options, factor), &mut figures)?;
            }
            let rewards = self.step_rewards(batch, &steps, &old, &options, &mut figures)?;
            let found = step_advantages(&rewards, &steps.episodes()?, &options.advantages)?;
            for ((&row, range), advantage) in steps.rows.iter().zip(&steps.ranges).zip(found) {
                advantages[row][range.clone()].fill(advantage);
            }
        }
        batch.credit = Some(Credit::Tokens(advantages));
        Ok(figures)
    }

    /// One update of the reward model from all groups that have a pair.
    fn update_process(
        &mut self,
        batch: &Batch,
        steps: &Steps,
        old: &[f64],
        (options, factor): (&ProcessRewardOptions, f64),
        figures: &mut Map<String, Value>,
    ) -> Result<(), TrainError> {
        let pairs = steps.pairs(batch.members.len(), &options.loss)?;
        let groups: Vec<usize> = (0..pairs.len()).filter(|&g| pairs[g] > 0.0).collect();
        let (whole, temperature) = (pairs.iter().sum::<f64>(), self.stage.objective.rollout.temperature);
        figures.insert("process/pairs".into(), whole.into());
        let Some(process) = self.process.as_mut().filter(|_| whole > 0.0) else { return Ok(()) };
        let mut loss = 0.0;
        for range in batches(&batch.lengths(&groups), Some(self.stage.micro_batch_tokens), usize::MAX)? {
            let (some, rows) = (&groups[range.clone()], batch.rows_of(&groups[range]));
            let grads = process.grads.take().map_or_else(|| alloc_grads(&process.model), Ok)?;
            let model = Model { trunk: &process.model, critic: None, temperature };
            let pass = model.pass(&batch.pick(&rows), false, tape_into(&self.dev, grads))?;
            let picked = steps.pick(some);
            let place = |row: usize| rows.iter().position(|r| *r == row).unwrap_or_default();
            let flat = |(&row, range): (&usize, &Range<usize>)| {
                let start = pass.packed.sequences[place(row)].start;
                start + range.start..start + range.end
            };
            let ranges: Vec<Range<usize>> = picked.rows.iter().zip(&picked.ranges).map(flat).collect();
            let sums = range_sums(pass.logps.put_tape(pass.tape), &ranges)?;
            let before: Vec<f64> =
                old.iter().zip(&steps.groups).filter(|(_, g)| some.contains(g)).map(|(v, _)| *v).collect();
            let terms = picked.loss(sums, &before, &options.loss)?;
            loss += terms.values().iter().sum::<f64>() / whole;
            process.grads = Some(terms.sum_over(&[whole])?.try_backward()?);
        }
        let Some(mut grads) = process.grads.take() else { return Ok(()) };
        let (lr, at) = (options.learning_rate * factor, (self.stage.name.as_str(), self.step + 1));
        let named = || {
            let source = |&g: &usize| batch.samples[batch.members[g].start].source.to_string();
            groups.iter().map(source).collect::<Vec<_>>().join("; ")
        };
        let parts = (&mut process.model, &mut process.optimiser);
        let norm = clipped_step(parts, &mut grads, (lr, whole, options.max_grad_norm), at, named)?;
        process.grads = Some(grads);
        figures.insert("process/loss".into(), loss.into());
        figures.insert("process/grad_norm".into(), norm.into());
        Ok(())
    }

    /// The rewards of the steps by the reward model as it is now.
    fn step_rewards(
        &self,
        batch: &Batch,
        steps: &Steps,
        old: &[Vec<f64>],
        options: &ProcessRewardOptions,
        figures: &mut Map<String, Value>,
    ) -> Result<Vec<f64>, TrainError> {
        let Some(process) = &self.process else { return Ok(vec![0.0; steps.rows.len()]) };
        let temperature = self.stage.objective.rollout.temperature;
        let model = Model { trunk: &process.model, critic: None, temperature };
        let all: Vec<usize> = (0..batch.members.len()).collect();
        let lengths = batch.lengths(&all);
        let parts = (lengths.as_slice(), batch.members.as_slice());
        let [logps, _] = model.score(&batch.samples, parts, self.stage.micro_batch_tokens)?;
        let rewards = step_rewards(&steps.table(&logps)?, &steps.table(old)?, options.loss.beta, options.clip)?;
        let n = rewards.len() as f64;
        let mean = rewards.iter().sum::<f64>() / n;
        let std = (rewards.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / n).sqrt();
        let per_row = n / batch.rows() as f64;
        for (name, value) in [("process/reward", mean), ("process/reward_std", std), ("process/steps", per_row)] {
            figures.insert(name.into(), value.into());
        }
        if let Some(share) = steps.accuracy(&rewards)? {
            figures.insert("process/accuracies".into(), share.into());
        }
        Ok(if options.normalize { normalized_step_rewards(&rewards) } else { rewards })
    }
}
