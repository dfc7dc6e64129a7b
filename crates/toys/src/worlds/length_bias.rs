//! Preferences with a bias for length, on the chain of tokens.

use tropism_core::numerics::sigmoid_scalar;
use tropism_objectives::Objective;

use super::{Chain, Descent, Moments, PairBatch, Policy, Sequence, Stream, gradient};
use crate::ToyError;

/// Length of a step along the gradient.
const STEP: f64 = 0.01;
/// `KL(π‖π_ref)` at which policies are compared, in nats.
const TARGET: f64 = 0.5;
const MOST_STEPS: usize = 3000;

/// 1500 pairs of completions of a plain chain, labelled `P(s ≻ t) = σ(3 (q_s − q_t) + bias (len_s − len_t))`.
pub(crate) struct LengthBias {
    pairs: Vec<(Sequence, Sequence)>,
    batch: PairBatch,
    policy: Policy,
    start: Vec<f64>,
    /// log-probabilities of the policy that all start from
    reference: Vec<f64>,
}

impl LengthBias {
    /// Pairs drawn under `seed`; the completions are the same for any `bias`.
    pub(crate) fn draw(seed: u64, bias: f64) -> Result<Self, ToyError> {
        let (policy, start) = (Chain::policy(), Chain::logits(0.0, 0.0, -0.8));
        let reference = policy.table(&start)?;
        let (mut random, mut labels) = (Stream::new(seed, 0), Stream::new(seed, 1));
        let mut pair = || {
            let [s, t] = [0; 2].map(|_| Chain::sample(&reference, 120, &mut random));
            let longer = s.len() as f64 - t.len() as f64;
            let first = labels.chance(sigmoid_scalar(3.0 * (s.quality() - t.quality()) + bias * longer));
            if first { (s, t) } else { (t, s) }
        };
        let pairs: Vec<_> = (0..1500).map(|_| pair()).collect();
        let chosen: Vec<&[usize]> = pairs.iter().map(|(c, _)| c.cells.as_slice()).collect();
        let rejected: Vec<&[usize]> = pairs.iter().map(|(_, r)| r.cells.as_slice()).collect();
        let batch = PairBatch::sequences(Chain::CELLS, &chosen, &rejected)?;
        Ok(Self { pairs, batch, policy, start, reference })
    }

    /// The pairs, chosen first.
    pub(crate) fn pairs(&self) -> &[(Sequence, Sequence)] {
        &self.pairs
    }

    /// The policy, and the log-probabilities that it starts from.
    pub(crate) fn policy(&self) -> (&Policy, &[f64]) {
        (&self.policy, &self.reference)
    }

    /// What the policy at the start does.
    pub(crate) fn before(&self) -> Result<Moments, ToyError> {
        Chain::moments(&self.reference)
    }

    /// What the policy does after normalised steps along a loss of pairs, at the place where its exact divergence from
    /// the start is half a nat.
    pub(crate) fn at_equal_kl(&self, objective: &Objective) -> Result<Moments, ToyError> {
        self.follow(|at| self.slopes(objective, at))
    }

    /// As [`at_equal_kl`](Self::at_equal_kl), along any gradient.
    pub(crate) fn follow(&self, slopes: impl Fn(&[f64]) -> Result<Vec<f64>, ToyError>) -> Result<Moments, ToyError> {
        let (mut at, mut rule) = (self.start.clone(), Descent::normalized(STEP));
        for _ in 0..MOST_STEPS {
            let before = at.clone();
            rule.step(&mut at, &slopes(&before)?)?;
            if self.kl(&at)? >= TARGET {
                return Chain::moments(&self.policy.table(&self.between(&before, &at)?)?);
            }
        }
        Err(ToyError::NotReached { what: "a divergence of 0.5 nats", steps: MOST_STEPS })
    }

    /// What the policy does after a number of normalised steps.
    pub(crate) fn after_steps(&self, objective: &Objective, steps: usize) -> Result<Moments, ToyError> {
        let (mut at, mut rule) = (self.start.clone(), Descent::normalized(STEP));
        for _ in 0..steps {
            let slopes = self.slopes(objective, &at)?;
            rule.step(&mut at, &slopes)?;
        }
        Chain::moments(&self.policy.table(&at)?)
    }

    fn slopes(&self, objective: &Objective, at: &[f64]) -> Result<Vec<f64>, ToyError> {
        let reference = self.batch.reference(&self.reference)?;
        let loss = gradient(at, |x| self.batch.loss(objective, self.policy.logps(x)?, &reference))?;
        Ok(loss.1)
    }

    fn kl(&self, logits: &[f64]) -> Result<f64, ToyError> {
        Chain::kl(&self.policy.table(logits)?, &self.reference)
    }

    /// The point of the last step with the target divergence, by bisection.
    fn between(&self, before: &[f64], after: &[f64]) -> Result<Vec<f64>, ToyError> {
        let point = |t: f64| before.iter().zip(after).map(|(b, a)| b + t * (a - b)).collect::<Vec<_>>();
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..40 {
            let middle = 0.5 * (low + high);
            if self.kl(&point(middle))? < TARGET { low = middle } else { high = middle }
        }
        Ok(point(high))
    }
}
