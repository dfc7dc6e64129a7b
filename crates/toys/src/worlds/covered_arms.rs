//! A bandit of which the preferences cover half of the arms.

use tropism_core::numerics::sigmoid_scalar;
use tropism_objectives::Objective;

use super::{Descent, PairBatch, Policy, Stream, descend};
use crate::ToyError;

const ARMS: usize = 12;
/// Arms from here on stand in no pair.
const COVERED: usize = 6;
const FEATURES: usize = 8;
const PAIRS: usize = 60;

/// Twelve arms under a log-linear policy `π_ref exp(Φ θ)/Z`, `Φ ~ N(0, 1/8)` of 12 × 8. Arms 0 to 5 have the logit 0 in
/// `π_ref`. Rewards are standard normal; 60 pairs of two covered arms, drawn uniformly, are labelled `σ(1.5 Δr)`.
pub(crate) struct CoveredArms {
    rewards: Vec<f64>,
    policy: Policy,
    /// `log π_ref`
    reference: Vec<f64>,
    pairs: Vec<(usize, usize)>,
    batch: PairBatch,
}

/// What a policy does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Behaviour {
    /// expected true reward
    pub(crate) reward: f64,
    /// mean log-probability of the arms that were chosen, over the pairs
    pub(crate) chosen: f64,
    /// … and of those that were rejected
    pub(crate) rejected: f64,
    /// probability of the arms that stand in no pair
    pub(crate) uncovered: f64,
}

impl CoveredArms {
    /// The world of a seed; the uncovered arms have the logit `logit` in `π_ref`, and `penalty` is taken off their rewards.
    pub(crate) fn draw(seed: u64, logit: f64, penalty: f64) -> Result<Self, ToyError> {
        let (mut world, mut data) = (Stream::new(seed, 0), Stream::new(seed, 1));
        let features: Vec<f64> = world.normals(ARMS * FEATURES).iter().map(|f| f / (FEATURES as f64).sqrt()).collect();
        let mut rewards = world.normals(ARMS);
        rewards[COVERED..].iter_mut().for_each(|r| *r -= penalty);
        let mut base = vec![0.0; ARMS];
        base[COVERED..].fill(logit);
        let policy = Policy::log_linear(1, base, &features)?;
        let mut pair = || {
            let first = data.pick(&[1.0 / COVERED as f64; COVERED]);
            let second = (first + 1 + data.pick(&[1.0 / (COVERED - 1) as f64; COVERED - 1])) % COVERED;
            let wins = data.chance(sigmoid_scalar(1.5 * (rewards[first] - rewards[second])));
            if wins { (first, second) } else { (second, first) }
        };
        let pairs: Vec<_> = (0..PAIRS).map(|_| pair()).collect();
        let batch = PairBatch::cells(ARMS, &pairs)?;
        let reference = policy.table(&[0.0; FEATURES])?;
        Ok(Self { rewards, policy, reference, pairs, batch })
    }

    /// The pairs, chosen first.
    pub(crate) fn pairs(&self) -> &[(usize, usize)] {
        &self.pairs
    }

    /// The policy.
    pub(crate) fn policy(&self) -> &Policy {
        &self.policy
    }

    /// `log π_ref`.
    pub(crate) fn reference(&self) -> &[f64] {
        &self.reference
    }

    /// What the reference does.
    pub(crate) fn before(&self) -> Behaviour {
        self.behaviour(&self.reference)
    }

    /// What the policy does after each of the ascending numbers of `steps` of plain descent, started at the reference.
    pub(crate) fn after<const N: usize>(
        &self,
        objective: &Objective,
        rate: f64,
        steps: [usize; N],
    ) -> Result<[Behaviour; N], ToyError> {
        let reference = self.batch.reference(&self.reference)?;
        self.follow(rate, steps, |x| self.batch.loss(objective, self.policy.logps(x)?, &reference))
    }

    /// As [`after`](Self::after), along any loss of the parameters.
    pub(crate) fn follow<const N: usize>(
        &self,
        rate: f64,
        steps: [usize; N],
        loss: impl Fn(super::Traced) -> Result<super::Loss, ToyError>,
    ) -> Result<[Behaviour; N], ToyError> {
        let (mut at, mut done) = (vec![0.0; FEATURES], 0);
        let mut found = [self.before(); N];
        for (found, steps) in found.iter_mut().zip(steps) {
            descend(&mut at, Descent::plain(rate), steps - done, &loss)?;
            done = steps;
            *found = self.behaviour(&self.policy.table(&at)?);
        }
        Ok(found)
    }

    fn behaviour(&self, logps: &[f64]) -> Behaviour {
        let mean = |side: fn(&(usize, usize)) -> usize| {
            self.pairs.iter().map(|pair| logps[side(pair)]).sum::<f64>() / self.pairs.len() as f64
        };
        Behaviour {
            reward: logps.iter().zip(&self.rewards).map(|(l, r)| l.exp() * r).sum(),
            chosen: mean(|pair| pair.0),
            rejected: mean(|pair| pair.1),
            uncovered: logps[COVERED..].iter().map(|l| l.exp()).sum(),
        }
    }
}
