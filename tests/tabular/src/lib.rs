//! A softmax policy over a table of answers, trained with any loss of `tropism-objectives`, which with dfdx is all that this
//! package depends on.
//!
//! A [`World`] has four prompts with six answers each, a reference policy and a reward. Judges compare answers that the
//! reference wrote, by Bradley–Terry. [`train`] fits a table of logits to their verdicts; [`World::reward`] is exact.

use dfdx::prelude::*;
use tropism_objectives::{
    Batch, Columns, Input, InputKind, ListLogps, Objective, ObjectiveError, PairLogps, SequenceLogps, kl_baseline,
};

/// Prompts.
pub const PROMPTS: usize = 4;
/// Answers to each prompt.
pub const ANSWERS: usize = 6;
const CELLS: usize = PROMPTS * ANSWERS;

/// A table over prompts and answers.
pub type Table = Tensor<Rank2<PROMPTS, ANSWERS>, f64, Cpu>;
type Traced = Tensor<Rank1<CELLS>, f64, Cpu, OwnedTape<f64, Cpu>>;
type Loss = Tensor<Rank0, f64, Cpu, OwnedTape<f64, Cpu>>;

/// Rewards, a reference policy, and what judges said.
#[derive(Clone, Debug)]
pub struct World {
    dev: Cpu,
    reference: Table,
    rewards: [[f64; ANSWERS]; PROMPTS],
    /// Cells of the chosen and of the rejected answers.
    pairs: [Vec<usize>; 2],
    /// Places of each prompt's answers from best to worst, as one judge sees them.
    ranks: Vec<f64>,
}

/// A small generator of random numbers (SplitMix64).
struct Rng(u64);

impl Rng {
    /// Uniform from 0 to 1.
    fn real(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

impl World {
    /// A world with `pairs` comparisons.
    pub fn new(seed: u64, pairs: usize) -> Self {
        let (dev, mut rng) = (Cpu::default(), Rng(seed));
        let rewards = [[0.0; ANSWERS]; PROMPTS].map(|row: [f64; ANSWERS]| row.map(|_| 3.0 * rng.real()));
        let logits = [[0.0; ANSWERS]; PROMPTS].map(|row: [f64; ANSWERS]| row.map(|_| 2.0 * rng.real()));
        let reference = dev.tensor(logits).log_softmax::<Axis<1>>();
        let probabilities = reference.array().map(|row| row.map(f64::exp));
        let mut world = Self { dev, reference, rewards, pairs: [Vec::new(), Vec::new()], ranks: Vec::new() };
        while world.pairs[0].len() < pairs {
            let prompt = (rng.real() * PROMPTS as f64) as usize;
            let [a, b] = [0; 2].map(|_| draw(&probabilities[prompt], rng.real()));
            let gap = rewards[prompt][a] - rewards[prompt][b];
            let (w, l) = if rng.real() < 1.0 / (1.0 + (-gap).exp()) { (a, b) } else { (b, a) };
            if w != l {
                world.pairs[0].push(prompt * ANSWERS + w);
                world.pairs[1].push(prompt * ANSWERS + l);
            }
        }
        for row in rewards {
            let better = |r: f64| row.iter().filter(|&&other| other > r).count() as f64;
            world.ranks.extend(row.map(better));
        }
        world
    }

    /// The table that training starts from: the logits of the reference.
    pub fn start(&self) -> Table {
        self.reference.clone()
    }

    /// Expected reward of a policy, averaged over prompts.
    pub fn reward(&self, logits: &Table) -> f64 {
        let policy = logits.clone().softmax::<Axis<1>>().array();
        let each = policy.iter().flatten().zip(self.rewards.iter().flatten());
        each.map(|(p, r)| p * r).sum::<f64>() / PROMPTS as f64
    }

    /// The loss of a table of logits by a method on pairs, lists or single completions with a verdict.
    ///
    /// # Errors
    /// Those of the method, also when it reads something else.
    pub fn loss(&self, objective: &Objective, logits: &Table) -> Result<Loss, ObjectiveError> {
        let logps: Traced = logits.leaky_trace().log_softmax::<Axis<1>>().reshape();
        let batch = match objective.input() {
            InputKind::Lists => self.lists(objective, logps)?,
            InputKind::Completions => self.completions(logps)?,
            _ => self.compared(objective, logps)?,
        };
        Ok(objective.loss(batch)?.mean()?)
    }

    fn compared(&self, objective: &Objective, logps: Traced) -> Result<TracedBatch, ObjectiveError> {
        let lengths = vec![1; self.pairs[0].len()];
        let index = |k: usize| self.dev.tensor_from_vec(self.pairs[k].clone(), (self.pairs[k].len(),));
        let second = logps.with_empty_tape().gather(index(1));
        let policy = PairLogps::new(logps.gather(index(0)), second, &lengths, &lengths)?;
        let theirs = |k: usize| self.reference.clone().reshape::<Rank1<CELLS>>().gather(index(k));
        let reference = PairLogps::new(theirs(0), theirs(1), &lengths, &lengths)?;
        Ok(Batch::pairs(policy, objective.needs_reference().then_some(reference)))
    }

    fn lists(&self, objective: &Objective, logps: Traced) -> Result<TracedBatch, ObjectiveError> {
        let (mask, lengths, shape) = ([true; CELLS], [1; CELLS], (PROMPTS, ANSWERS));
        let policy = ListLogps::new(logps.reshape_like(&shape), &mask, &lengths)?;
        let reference = ListLogps::new(self.reference.clone().reshape_like(&shape), &mask, &lengths)?;
        let input = Input::Lists(policy, objective.needs_reference().then_some(reference));
        Ok(Batch::from(input).with_columns(Columns::default().with("rank", self.ranks.clone())?))
    }

    fn completions(&self, logps: Traced) -> Result<TracedBatch, ObjectiveError> {
        // Each pair gives a desirable and an undesirable answer.
        let cells = self.pairs.concat();
        let (rows, half) = (cells.len(), self.pairs[0].len());
        let index = || self.dev.tensor_from_vec(cells.clone(), (rows,));
        let theirs = self.reference.clone().reshape::<Rank1<CELLS>>().gather(index());
        let ours = logps.gather(index());
        let baseline = kl_baseline(&ours.as_vec(), &theirs.as_vec())?;
        let policy = SequenceLogps::new(ours, &vec![1; rows])?;
        let reference = SequenceLogps::new(theirs, &vec![1; rows])?;
        let verdicts = (0..rows).map(|i| if i < half { 1.0 } else { 0.0 }).collect();
        let columns = Columns::default().with("desirable", verdicts)?.with("kl_baseline", vec![baseline; rows])?;
        Ok(Batch::completions(policy, Some(reference)).with_columns(columns))
    }
}

type TracedBatch = Batch<usize, usize, f64, Cpu, OwnedTape<f64, Cpu>>;

/// Gradient descent from the reference; the table of logits after `steps` steps.
///
/// # Errors
/// Those of the method.
pub fn train(world: &World, objective: &Objective, steps: usize, rate: f64) -> Result<Table, ObjectiveError> {
    let mut logits = world.start();
    for _ in 0..steps {
        let gradient = world.loss(objective, &logits)?.backward().get(&logits);
        logits = logits - gradient * rate;
    }
    Ok(logits)
}

/// The answer at quantile `u`.
fn draw(probabilities: &[f64; ANSWERS], u: f64) -> usize {
    let mut left = u;
    probabilities
        .iter()
        .position(|p| {
            left -= p;
            left < 0.0
        })
        .unwrap_or(ANSWERS - 1)
}
